// Aim: the kernel computes its recipe and knows the hour at any time. Method: calendar cases by
// hand; the recipe over plain numbers; a value that is usual, but not at this hour.
#include "models/engines/detectors/seasonal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;

TEST(HourOfPeriod, IsRightBeforeAndAfterTheEpoch) {
  EXPECT_EQ(hour_of_period(0, 24), 0U);
  EXPECT_EQ(hour_of_period(kHourUs - 1, 24), 0U);
  EXPECT_EQ(hour_of_period(kHourUs, 24), 1U);
  EXPECT_EQ(hour_of_period(25 * kHourUs, 24), 1U);
  EXPECT_EQ(hour_of_period(-1, 24), 23U);
  EXPECT_EQ(hour_of_period(-kHourUs, 24), 23U);
  EXPECT_EQ(hour_of_period(-kHourUs - 1, 24), 22U);
  EXPECT_EQ(hour_of_period(169 * kHourUs, 168), 1U);
  EXPECT_LT(hour_of_period(std::numeric_limits<int64_t>::min(), 168), 168U);
  EXPECT_LT(hour_of_period(std::numeric_limits<int64_t>::max(), 168), 168U);
}

TEST(Seasonal, FollowsTheRecipe) {
  const SeasonalSettings settings;
  const Seasonal kernel(settings);
  SeasonalState state;
  std::vector<HourState> hours(kernel.hours());
  testing::RowFeeder feeder(1);
  struct Hour {
    double mean = 0, variance = 0;
    int n = 0;
  };
  std::vector<Hour> expected_hours(24);
  double s = 0;
  int residuals = 0;
  for (const Observation& observation : testing::synthetic_series(4000)) {
    const Row row = feeder.next(observation);
    const auto raw = kernel.update(row, state, hours);
    Hour& hour = expected_hours[static_cast<size_t>(observation.event_time_us / kHourUs % 24)];
    double expected = 0.5 * std::abs(row.value - row.mean) / row.scale;
    if (hour.n >= 3) {
      const double r = std::abs(row.value - hour.mean);
      const double v = (hour.n * hour.variance + 5 * std::numbers::pi / 2 * s * s) / (hour.n + 5);
      expected = r / (std::sqrt(v) + 0.02 * row.scale);
      ++residuals;
      const double clipped = residuals > 20 && s > 0 ? std::min(r, 5 * s) : r;
      s += std::max(0.002, 1.0 / residuals) * (clipped - s);
    }
    ++hour.n;
    const double k = std::max(0.1, 1.0 / hour.n);
    const double d = row.value - hour.mean;
    hour.mean += k * d;
    hour.variance = (1 - k) * (hour.variance + k * d * d);
    if (raw) {
      ASSERT_NEAR(*raw, expected, 1e-3 * (1 + expected)) << "row " << row.rows;
    }
  }
}

TEST(Seasonal, SeesAUsualValueAtAnUnusualHour) {
  const Seasonal kernel({});
  SeasonalState state;
  std::vector<HourState> hours(kernel.hours());
  testing::RowFeeder feeder(1);
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 1);
  double usual = 0, unusual = 0;
  for (int64_t i = 0; i < 12 * 24 * 10; ++i) {
    const int64_t time_us = i * kHourUs / 12;
    const bool at_night = hour_of_period(time_us, 24) < 6;
    const bool odd = i == 12 * 24 * 9 + 20;  // a day's value in the tenth night
    const double value = (at_night && !odd ? 10 : 50) + noise(random);
    const double raw = kernel.update(feeder.next({time_us, value}), state, hours).value_or(0);
    if (odd) unusual = raw;
    if (i > 12 * 24 * 8 && i < 12 * 24 * 9) usual = std::max(usual, raw);
  }
  EXPECT_GT(unusual, 3 * usual);
}

}  // namespace
}  // namespace qw::models::detectors
