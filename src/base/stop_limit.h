// The end of the time that a stop may take: what hangs then is left.
#pragma once

#include <cstdint>

namespace qw {

// Once armed, ends the process with `exit_code` when the limit passes, and says on standard error
// what it waited for. By a timer's signal (SIGALRM): it needs no thread, no memory and no lock.
// Ending so is as a kill: nothing that was acknowledged is lost. One at a time.
class StopLimit {
 public:
  StopLimit() = default;
  ~StopLimit();
  StopLimit(const StopLimit&) = delete;
  StopLimit& operator=(const StopLimit&) = delete;
  void arm(int64_t limit_ms, int exit_code);
  // What the stop is at, for the last line. A text that lives as long as the process.
  static void now_at(const char* part) noexcept;
};

}  // namespace qw
