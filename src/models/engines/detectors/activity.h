// How restless the series is, compared with how restless it usually is.
//
// Recipe: e = exponentially weighted mean of |difference to the row before|;
// y = log(e + 1e-3 * scale); raw = |y - mean of y| / (deviation of y + 0.05).
// Source: an EWMA control chart (Roberts 1959) on the log of the moving range.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "models/engines/detectors/moments.h"
#include "models/engines/detectors/series.h"

namespace qw::models::detectors {

// What the activity detector is made from. A plain value; settings_fields.cpp has the ranges.
struct ActivitySettings {
  double rate = 0.02;         // forgetting of the mean movement
  double past_rate = 0.0005;  // forgetting of what is usual
  double floor = 0.05;        // added to the usual deviation of the log
  int rows_min = 50;          // before that nothing is said
};

// Part of a series' state. Zero bytes mean "nothing seen".
struct ActivityState {
  Moments movement;
  Moments usual;
};
static_assert(std::is_trivially_copyable_v<ActivityState>);

// The kernel. Immutable. Threads: concurrent calls on different states.
class Activity {
 public:
  explicit Activity(const ActivitySettings& settings) : settings_(settings) {}

  // Raw value of the row, or nothing for the first rows_min rows. Then learns the row.
  std::optional<double> update(const Row& row, ActivityState& state) const;
  uint64_t rows_until_ready() const { return static_cast<uint64_t>(settings_.rows_min) + 1; }

 private:
  ActivitySettings settings_;
};

}  // namespace qw::models::detectors
