// Named moments at which a test can kill the process, to prove that nothing is lost or repeated.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

namespace internal {
extern std::atomic<bool> fail_points_armed;
void reach_fail_point(std::string_view name);
bool fails_at(std::string_view name);
void reach_record(std::string_view stage, std::string_view record);
}  // namespace internal

// Arms from the environment: QUICKWATER_FAIL_POINT="name:N" ends the process by SIGKILL at the N-th
// passage (from 1); "name:N:throw" throws std::bad_alloc there, as a library does when memory ends;
// "name:N:error" makes a failing_point give an error, as a disk does that cannot be read.
// Called once by main. Unset: fail points cost one relaxed load.
void arm_fail_points_from_environment();

inline void fail_point(std::string_view name) {
  if (internal::fail_points_armed.load(std::memory_order_relaxed)) [[unlikely]]
    internal::reach_fail_point(name);
}

inline Result<void> failing_point(std::string_view name) {
  if (!internal::fail_points_armed.load(std::memory_order_relaxed)) [[likely]]
    return {};
  if (!internal::fails_at(name)) return {};
  return Error{ErrorCode::kIo, "a fail point", std::string(name), ""};
}

// For records that crash: "STAGE/TEXT:N" aborts at the N-th record of the stage that holds TEXT;
// "STAGE/TEXT:stall" never comes back from the first one, until somebody kills the process, and
// "STAGE/TEXT:kill" ends it there by SIGKILL.
inline void fail_on_record(std::string_view stage, std::string_view record) {
  if (internal::fail_points_armed.load(std::memory_order_relaxed)) [[unlikely]]
    internal::reach_record(stage, record);
}

}  // namespace qw
