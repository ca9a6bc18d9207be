// Which record a crash happened on: a trace that survives the process, and what crashed it before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace qw {

// A record on which the process crashed this often is not tried again; nor one in which it was
// killed from outside this often, after it had been in work for kStuckUs or while the machine's
// count of kills for want of memory rose. (The kernel kills a process that takes all memory, and
// says nothing to it.)
constexpr size_t kCrashesToQuarantine = 2;
constexpr size_t kKillsToQuarantine = 3;
constexpr int64_t kStuckUs = 200'000;

// While it lives, its thread works on this record: a fatal signal of the thread (a broken memory
// access, a failed QW_ASSERT) writes the record's fingerprint into the file
// of CrashWatch. A kill from outside while a record is in work for a moment leaves no trace: it is
// nobody's fault. Costs two stores and, with a CrashWatch, a hash; the record must outlive it.
// Marks nest; the innermost counts.
class WorkMark {
 public:
  // `stage` names the fail point "STAGE/TEXT:N"; see fail_on_record().
  WorkMark(std::string_view stage, std::string_view record) noexcept;
  ~WorkMark();
  WorkMark(const WorkMark&) = delete;
  WorkMark& operator=(const WorkMark&) = delete;

 private:
  std::string_view before_;
  uint64_t print_before_ = 0;
  int exceptions_ = 0;  // in flight when it was made
};

// Writes a trace of the record that this thread works on, as of a kill: memory ended, or something
// else was thrown that nobody expected. An exception that unwinds a mark does the same.
void trace_work_in_hand() noexcept;

// What the files of traces told.
struct CrashHistory {
  size_t crashes = 0;      // traces of all earlier runs: signals of its own
  size_t kills = 0;        // and kills from outside that may be a record's fault
  size_t quarantined = 0;  // different records that reached one of the limits
};

// Reads the traces in a folder (files "crashes" and "in_work"), catches fatal signals of the whole
// process and adds to the traces from now on. While it lives, a thread looks which records are in
// work for long, and says so in a mapping that outlives the process. One at a time, before other
// threads start. Lets go of the mapping last: threads with marks have ended before.
class CrashWatch {
 public:
  // kIo: the files cannot be written; kConflict: another process writes them. `vmstat` holds the
  // kernel's counters; without its "oom_kill" (Linux before 4.13) only kStuckUs counts.
  static Result<std::unique_ptr<CrashWatch>> start(const std::string& folder,
                                                   const std::string& vmstat = "/proc/vmstat");
  ~CrashWatch();
  const CrashHistory& history() const { return history_; }

 private:
  CrashWatch() = default;
  CrashHistory history_;
  int work_file_ = -1;
  std::jthread thread_;
};

namespace internal {
extern std::atomic<bool> any_quarantined;
bool is_quarantined(std::string_view record);
}  // namespace internal

// Whether any record must be looked up at all; nearly always not.
inline bool any_quarantined() { return internal::any_quarantined.load(std::memory_order_relaxed); }
// Whether these very bytes reached one of the limits. Any thread.
inline bool is_quarantined(std::string_view record) {
  return any_quarantined() && internal::is_quarantined(record);
}

}  // namespace qw
