#include "models/engines/detectors/seasonal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace qw::models::detectors {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;
constexpr uint32_t kHourRowsMin = 3;
constexpr double kResidualClip = 5;  // in mean absolute residuals
constexpr uint32_t kClipAfterRows = 20;
constexpr double kScaleShare = 0.02;
constexpr double kYoungWeight = 0.5;

void learn(HourState& hour, double value, double rate) {
  if (hour.count < std::numeric_limits<uint32_t>::max()) ++hour.count;
  const double k = std::max(rate, 1.0 / hour.count);
  const double delta = value - static_cast<double>(hour.mean);
  hour.mean = static_cast<float>(static_cast<double>(hour.mean) + k * delta);
  hour.variance =
      static_cast<float>((1 - k) * (static_cast<double>(hour.variance) + k * delta * delta));
}

}  // namespace

size_t hour_of_period(int64_t event_time_us, size_t hours) {
  int64_t hour = event_time_us / kHourUs;
  if (event_time_us % kHourUs < 0) --hour;
  const auto period = static_cast<int64_t>(hours);
  return static_cast<size_t>((hour % period + period) % period);
}

std::optional<double> Seasonal::update(const Row& row, SeasonalState& state,
                                       std::span<HourState> hours) const {
  HourState& hour = hours[hour_of_period(row.event_time_us, this->hours())];
  double raw = 0;
  if (hour.count < kHourRowsMin) {
    raw = kYoungWeight * std::abs(row.value - row.mean) / row.scale;
  } else {
    const double residual = std::abs(row.value - static_cast<double>(hour.mean));
    const double typical = state.residual.mean;
    const double typical_variance = std::numbers::pi / 2 * typical * typical;
    const double n = hour.count;
    const double variance =
        (n * static_cast<double>(hour.variance) + settings_.prior_rows * typical_variance) /
        (n + settings_.prior_rows);
    raw = residual / (std::sqrt(variance) + kScaleShare * row.scale);
    const bool clip = state.residual.count >= kClipAfterRows && typical > 0;
    state.residual.add(clip ? std::min(residual, kResidualClip * typical) : residual,
                       settings_.residual_rate);
  }
  learn(hour, row.value, settings_.rate);
  if (row.rows < 2) return std::nullopt;
  return raw;
}

}  // namespace qw::models::detectors
