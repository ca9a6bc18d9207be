#include "models/engines/detectors/series.h"

#include <algorithm>
#include <cmath>

namespace qw::models::detectors {
namespace {

// Movements below this share of the series' level are float noise, not news.
constexpr double kNoiseShare = 1e-6;
constexpr double kScaleMin = 1e-12;
// A value further out than this many deviations counts as this many, once the deviation is known:
// one absurd record must not blind the detectors for the rest of the series.
constexpr double kClipDeviations = 20;
constexpr uint64_t kClipAfterRows = 50;

double clipped_for_moments(const SeriesState& state, double difference, double scale_floor) {
  const double deviation = state.all.deviation();
  if (state.rows < kClipAfterRows || deviation < scale_floor) return difference;
  const double reach = kClipDeviations * deviation;
  return std::clamp(difference, state.all.mean - reach, state.all.mean + reach);
}

}  // namespace

Row observe(SeriesState& state, std::span<float> ring, int64_t event_time_us, double value) {
  if (state.rows == 0) {
    state.anchor = std::clamp(value, -kDifferenceMax, kDifferenceMax);
  }
  const double difference = std::clamp(value - state.anchor, -kDifferenceMax, kDifferenceMax);
  if (state.rows == 0) {
    state.previous = state.min = state.max = difference;
  }
  const double level = std::abs(state.anchor + state.all.mean);
  const double floor = std::max(kNoiseShare * level, kScaleMin);
  state.all.add(clipped_for_moments(state, difference, floor), 0);
  state.min = std::min(state.min, difference);
  state.max = std::max(state.max, difference);

  const size_t length = ring.size() / 2;
  const size_t slot = static_cast<size_t>(state.rows % length);
  ring[slot] = ring[slot + length] = static_cast<float>(difference);
  ++state.rows;

  Row row;
  row.event_time_us = event_time_us;
  row.rows = state.rows;
  row.value = difference;
  row.previous = state.previous;
  row.mean = state.all.mean;
  row.deviation = state.all.deviation();
  row.scale = std::max(row.deviation, floor);
  row.min = state.min;
  row.max = state.max;
  const size_t seen = static_cast<size_t>(std::min<uint64_t>(state.rows, length));
  row.recent = ring.subspan(slot + 1 + length - seen, seen);
  state.previous = difference;
  return row;
}

}  // namespace qw::models::detectors
