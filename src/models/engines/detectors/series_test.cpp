// Aim: rows tell the truth about the series so far. Method: two-pass formulas over all values kept.
#include "models/engines/detectors/series.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

TEST(Moments, EqualTwoPassFormulasWhenNothingIsForgotten) {
  Moments moments;
  std::vector<double> values;
  for (int i = 0; i < 500; ++i) {
    values.push_back(1e6 + std::sin(i) * 10);
    moments.add(values.back(), 0);
    double mean = 0, squares = 0;
    for (const double x : values) mean += x / static_cast<double>(values.size());
    for (const double x : values) squares += (x - mean) * (x - mean);
    ASSERT_NEAR(moments.mean, mean, 1e-6);
    ASSERT_NEAR(moments.variance, squares / static_cast<double>(values.size()), 1e-5);
  }
}

TEST(Moments, ForgetExponentially) {
  Moments moments;
  for (int i = 0; i < 1000; ++i) moments.add(0, 0.1);
  moments.add(1, 0.1);
  EXPECT_NEAR(moments.mean, 0.1, 1e-12);
  EXPECT_NEAR(moments.variance, 0.9 * 0.1, 1e-12);
}

TEST(Moments, StartAsIfZerosHadBeenSeen) {
  Moments with_prior, with_zeros;
  for (int i = 0; i < 30; ++i) with_zeros.add(0, 0.001);
  for (int i = 0; i < 50; ++i) {
    with_prior.add(i, 0.001, 30);
    with_zeros.add(i, 0.001);
    ASSERT_NEAR(with_prior.mean, with_zeros.mean, 1e-12);
    ASSERT_NEAR(with_prior.variance, with_zeros.variance, 1e-9);
  }
  EXPECT_EQ(with_prior.count, 50U);
}

TEST(Observe, ShowsTheLastValuesOldestFirst) {
  testing::RowFeeder feeder(5);
  for (int i = 0; i < 23; ++i) {
    const Row row = feeder.next({i, 100.0 + i});
    ASSERT_EQ(row.recent.size(), static_cast<size_t>(std::min(i + 1, 5)));
    for (size_t k = 0; k < row.recent.size(); ++k) {
      ASSERT_EQ(row.recent[k], static_cast<float>(i + 1 - static_cast<int>(row.recent.size()) +
                                                  static_cast<int>(k)));
    }
    ASSERT_EQ(row.rows, static_cast<uint64_t>(i + 1));
    ASSERT_EQ(row.value, i);
    ASSERT_EQ(row.previous, std::max(0, i - 1));
    ASSERT_EQ(row.max, i);
    ASSERT_EQ(row.min, 0);
  }
}

TEST(Observe, KeepsSmallMovementsOfLargeNumbers) {
  testing::RowFeeder feeder(4);
  const double bytes = 64.0 * (1ULL << 40);
  feeder.next({0, bytes});
  const Row row = feeder.next({1, bytes + 1});  // a float alone would lose it
  EXPECT_EQ(row.recent.back(), 1.0F);
}

TEST(Observe, ScaleNeverFallsToFloatNoise) {
  testing::RowFeeder feeder(4);
  Row row;
  for (int i = 0; i < 100; ++i) row = feeder.next({i, 100});
  EXPECT_EQ(row.deviation, 0);
  EXPECT_NEAR(row.scale, 1e-4, 1e-9);
  testing::RowFeeder zeros(4);
  EXPECT_GT(zeros.next({0, 0}).scale, 0);
}

TEST(Observe, OneAbsurdValueDoesNotOwnTheScale) {
  testing::RowFeeder feeder(4);
  Row row;
  for (int i = 0; i < 1000; ++i) row = feeder.next({i, std::sin(i * 0.7)});
  const double before = row.deviation;
  row = feeder.next({1000, 1e12});
  EXPECT_LT(row.deviation, 2 * before);
  EXPECT_EQ(row.value, 1e12);  // what the detectors judge is the value itself
}

}  // namespace
}  // namespace qw::models::detectors
