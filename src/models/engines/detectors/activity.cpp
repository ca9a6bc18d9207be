#include "models/engines/detectors/activity.h"

#include <algorithm>
#include <cmath>

namespace qw::models::detectors {
namespace {

constexpr double kScaleShare = 1e-3;
constexpr double kMovedMax = 10;  // scales

}  // namespace

std::optional<double> Activity::update(const Row& row, ActivityState& state) const {
  if (row.rows < 2) return std::nullopt;
  // One absurd jump must not drown the movements of the next thousand rows.
  const double moved = std::min(std::abs(row.value - row.previous), kMovedMax * row.scale);
  state.movement.add(moved, settings_.rate);
  const double level = std::log(state.movement.mean + kScaleShare * row.scale);
  const double off = std::abs(level - state.usual.mean);
  const double raw = off / (state.usual.deviation() + settings_.floor);
  state.usual.add(level, settings_.past_rate);
  if (row.rows <= static_cast<uint64_t>(settings_.rows_min)) return std::nullopt;
  return raw;
}

}  // namespace qw::models::detectors
