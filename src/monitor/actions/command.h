// Runs one program of the application's allow-list: no shell, its own process group, a time limit,
// nothing left behind.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "store/commit/journal_kinds.h"

namespace qw::monitor {

// One entry of the allow-list: the program's absolute path, then its arguments. An argument that is
// exactly `{name}` is filled with a value of the alert; braces inside longer text are plain text.
using CommandTemplate = std::vector<std::string>;

// kBadInput: no absolute path, a placeholder as program, a NUL. The file itself is looked at when
// it is run.
Result<void> check_command(const CommandTemplate& command);

// The arguments with the placeholders filled. kBadInput when a value is absent, begins with '-' (it
// would be read as an option), holds a NUL or is longer than 4096 bytes.
Result<std::vector<std::string>> fill_command(const CommandTemplate& command,
                                              const std::map<std::string, std::string>& values);

// What one run of a program may take. A value.
struct CommandLimits {
  int64_t timeout_ms = 30'000;
  int64_t grace_ms = 2'000;             // between SIGTERM and SIGKILL
  size_t max_output_bytes = 16u << 10;  // of each stream; more is read and thrown away
};

enum class CommandEnd : uint8_t { kExited, kSignalled, kTimedOut, kCancelled, kNotStarted };
std::string_view name_of(CommandEnd end);  // "exited", "signalled", ...

// How one run ended and what it said. A value: trouble is told here, never by an error.
struct CommandReport {
  CommandEnd end = CommandEnd::kNotStarted;
  int exit_code = -1;  // of kExited
  int signal = 0;      // that ended the program, whatever the reason
  std::string out;
  std::string err;
  bool cut = false;  // output was longer than the limit
  int64_t took_us = 0;
  std::string message;  // of kNotStarted: why

  bool ok() const { return end == CommandEnd::kExited && exit_code == 0; }
};
store::ActionFinishedBody journal_body(std::string_view action_id, const CommandReport& report);

// Starts the program and waits for its end. Blocks the calling thread at most timeout + grace; any
// thread, several at once. The caller records "started" durably before, and after a crash records
// "unknown" instead of calling again.
//
// The program gets `/` as its folder, standard input from /dev/null, no other open files, default
// signals, PATH, LANG and `environment` and nothing else of ours. The program (not its own
// children) is killed when the calling thread or our process ends. Whatever of its process group is
// alive when it ends is killed; a child that moved to a session of its own escapes this.
// `cancel_fd`: when it becomes readable the program is ended as at the time limit; -1: none.
CommandReport run_command(const std::vector<std::string>& arguments,
                          const std::map<std::string, std::string>& environment,
                          const CommandLimits& limits, const Clock& clock, int cancel_fd = -1);

}  // namespace qw::monitor
