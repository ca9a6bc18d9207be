// What the program's exit code tells a script.
#pragma once

#include <span>
#include <string>

#include "base/result.h"

namespace qw::cli {

// Stable: scripts branch on them.
constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kBadAppFile = 3;
constexpr int kUnavailable = 4;
constexpr int kMachine = 5;
constexpr int kDamaged = 6;
constexpr int kPartial = 7;
constexpr int kBug = 70;

// One row of docs/reference/exit-codes.md.
struct ExitCode {
  int code;
  const char* name;
  const char* meaning;
};
std::span<const ExitCode> exit_codes();

int exit_code_of(ErrorCode code);

// The page docs/reference/exit-codes.md.
std::string exit_codes_reference();

}  // namespace qw::cli
