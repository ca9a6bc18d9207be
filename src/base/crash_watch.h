// Which record a crash happened on: a trace that survives the process, and what crashed it before.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

// A record on which the process crashed this often is not tried again.
constexpr size_t kCrashesToQuarantine = 2;

// While it lives, its thread works on this record: a fatal signal of the thread (a broken memory
// access, a failed QW_ASSERT, an uncaught exception) writes the record's fingerprint into the file
// of watch_crashes(). A kill from outside leaves no trace: it is nobody's fault. Costs two stores;
// the record must outlive it. Marks nest; the innermost counts.
class WorkMark {
 public:
  // `stage` names the fail point "STAGE/TEXT:N", which aborts at the N-th record that holds TEXT.
  WorkMark(std::string_view stage, std::string_view record) noexcept;
  ~WorkMark();
  WorkMark(const WorkMark&) = delete;
  WorkMark& operator=(const WorkMark&) = delete;

 private:
  std::string_view before_;
};

// What a file of traces told.
struct CrashHistory {
  size_t crashes = 0;      // traces of all earlier runs
  size_t quarantined = 0;  // different records that reached kCrashesToQuarantine
};
// Reads the traces, catches fatal signals of the whole process and adds to the file from now on.
// Once per process, before threads start. kIo: the file cannot be written.
Result<CrashHistory> watch_crashes(const std::string& file);

namespace internal {
extern std::atomic<bool> any_quarantined;
bool is_quarantined(std::string_view record);
}  // namespace internal

// Whether any record must be looked up at all; nearly always not.
inline bool any_quarantined() { return internal::any_quarantined.load(std::memory_order_relaxed); }
// Whether the process crashed on these very bytes kCrashesToQuarantine times. Any thread.
inline bool is_quarantined(std::string_view record) {
  return any_quarantined() && internal::is_quarantined(record);
}

}  // namespace qw
