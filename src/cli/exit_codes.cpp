#include "cli/exit_codes.h"

#include <fmt/format.h>

namespace qw::cli {
namespace {

constexpr ExitCode kCodes[] = {
    {kOk, "ok", "The work is done."},
    {kFailed, "failed", "The work was tried and did not succeed; standard error says why."},
    {kUsage, "usage", "The command line is wrong: unknown command or option, missing argument."},
    {kBadAppFile, "bad_app_file", "The application file is missing or has errors."},
    {kUnavailable, "unavailable",
     "Something needed is away or held by another process (broker, port, data folder). Trying "
     "again "
     "may help."},
    {kMachine, "machine", "The machine refused: no permission, disk full, a limit reached."},
    {kDamaged, "damaged", "Stored data fails its check."},
    {kPartial, "partial",
     "Only a part is done: some records could not be used, or the time of a stop ended first. "
     "Standard error says what is left; nothing that was acknowledged is lost."},
    {kBug, "bug", "A mistake in Quickwater itself."},
};

}  // namespace

std::span<const ExitCode> exit_codes() { return kCodes; }

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
    case ErrorCode::kNotFound:
    case ErrorCode::kUnsupported: return kFailed;
    case ErrorCode::kConflict:
    case ErrorCode::kTimeout:
    case ErrorCode::kUnavailable: return kUnavailable;
    case ErrorCode::kExhausted:
    case ErrorCode::kIo: return kMachine;
    case ErrorCode::kCorrupt: return kDamaged;
    case ErrorCode::kInternal: return kBug;
  }
  return kBug;
}

std::string exit_codes_reference() {
  std::string out =
      "# Exit codes\n\n"
      "The same for every command. Made from `src/cli/exit_codes.cpp` by\n"
      "`quickwater help --write docs/reference`.\n\n"
      "| code | name | meaning |\n|---|---|---|\n";
  for (const ExitCode& row : kCodes)
    out += fmt::format("| {} | `{}` | {} |\n", row.code, row.name, row.meaning);
  return out;
}

}  // namespace qw::cli
