// How far the value is from what is usual at this hour.
//
// Recipe: per hour of the period (24: hour of day, 168: hour of week; UTC, epoch-anchored) an
// exponentially weighted mean and variance; the variance is shrunk towards that of all residuals
// while the hour is young; raw = |residual| / (deviation + 0.02 * scale).
// Source: seasonal exponential smoothing (Holt 1957, Winters 1960) with one state per hour and a
// robust scale: mean absolute residual times sqrt(pi/2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "models/engines/detectors/moments.h"
#include "models/engines/detectors/series.h"

namespace qw::models::detectors {

// What the seasonal detector is made from. A plain value; settings_fields.cpp has the ranges.
struct SeasonalSettings {
  int period_hours = 24;
  double rate = 0.1;             // forgetting within an hour's values
  double residual_rate = 0.002;  // forgetting of the mean absolute residual
  double prior_rows = 5;         // weight of all residuals' variance against the hour's own
};

inline constexpr size_t kPeriodHoursMax = 168;

// Part of a series' state; one HourState per hour lies behind it. Zero bytes mean "nothing seen".
struct SeasonalState {
  Moments residual;  // of |residual|, clipped
};
// What is usual at one hour. Part of a series' state; zero bytes mean "nothing seen".
struct HourState {
  float mean = 0;
  float variance = 0;
  uint32_t count = 0;
};
static_assert(std::is_trivially_copyable_v<SeasonalState> &&
              std::is_trivially_copyable_v<HourState>);

// The kernel. Immutable. Threads: concurrent calls on different states.
class Seasonal {
 public:
  explicit Seasonal(const SeasonalSettings& settings) : settings_(settings) {}

  size_t hours() const { return static_cast<size_t>(settings_.period_hours); }
  // Raw value of the row (from the overall mean while the hour is young). Then learns the row.
  std::optional<double> update(const Row& row, SeasonalState& state,
                               std::span<HourState> hours) const;
  uint64_t rows_until_ready() const { return 2; }

 private:
  SeasonalSettings settings_;
};

// Hour of the period of `hours` hours that begins at the epoch; right for any int64, also negative.
size_t hour_of_period(int64_t event_time_us, size_t hours);

}  // namespace qw::models::detectors
