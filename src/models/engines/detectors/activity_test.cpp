// Aim: the kernel computes its recipe and sees what it is for. Method: the recipe by hand over
// plain numbers; a series that grows restless without leaving its range.
#include "models/engines/detectors/activity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

TEST(Activity, FollowsTheRecipe) {
  const ActivitySettings settings;
  const Activity kernel(settings);
  ActivityState state;
  testing::RowFeeder feeder(1);
  double e = 0, previous = 0, mean = 0, variance = 0;
  int moves = 0;
  const auto series = testing::synthetic_series(2000);
  for (size_t i = 0; i < series.size(); ++i) {
    const Row row = feeder.next(series[i]);
    const auto raw = kernel.update(row, state);
    if (i == 0) {
      EXPECT_FALSE(raw.has_value());
      previous = row.value;
      continue;
    }
    ++moves;
    const double moved = std::min(std::abs(row.value - previous), 10 * row.scale);
    previous = row.value;
    e += std::max(settings.rate, 1.0 / moves) * (moved - e);
    const double level = std::log(e + 1e-3 * row.scale);
    const double expected = std::abs(level - mean) / (std::sqrt(variance) + settings.floor);
    const double k = std::max(settings.past_rate, 1.0 / moves);
    variance = (1 - k) * (variance + k * (level - mean) * (level - mean));
    mean += k * (level - mean);
    ASSERT_EQ(raw.has_value(), row.rows > 50);
    if (raw) {
      ASSERT_NEAR(*raw, expected, 1e-9 * (1 + expected)) << i;
    }
  }
}

TEST(Activity, RisesWhenMovementChangesInsideTheRange) {
  const Activity kernel({});
  ActivityState state;
  testing::RowFeeder feeder(1);
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 0.1);
  double calm = 0, restless = 0;
  for (int i = 0; i < 3000; ++i) {
    const double swing = i >= 2950 ? (i % 2 == 0 ? 5 : -5) : 5 * std::sin(i * 0.02);
    const double raw = kernel.update(feeder.next({i, swing + noise(random)}), state).value_or(0);
    (i < 2950 ? calm : restless) = i > 1000 ? std::max(i < 2950 ? calm : restless, raw) : 0;
  }
  EXPECT_GT(restless, 3 * calm);
}

}  // namespace
}  // namespace qw::models::detectors
