// Aim: a calibrated value is the stated tail of the stated z. Method: known Gaussian tails, and the
// recipe over plain lists.
#include "models/engines/detectors/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace qw::models::detectors {
namespace {

TEST(TailScore, IsTheRootOfTheDecadesOfTheTwoSidedTail) {
  // Two-sided tails from tables of the normal distribution.
  EXPECT_NEAR(tail_score(1.959963985, 16), std::sqrt(-std::log10(0.05)), 1e-8);
  EXPECT_NEAR(tail_score(3.290526731, 16), std::sqrt(3), 1e-8);
  EXPECT_NEAR(tail_score(6.109410205, 16), std::sqrt(9), 1e-8);
  EXPECT_EQ(tail_score(0, 16), 0);
  EXPECT_EQ(tail_score(-3, 16), 0);
  EXPECT_EQ(tail_score(6.2, 3), 3);
  EXPECT_EQ(tail_score(1e300, 16), 16);
  EXPECT_EQ(tail_score(std::numeric_limits<double>::infinity(), 4), 4);
  EXPECT_EQ(tail_score(std::nan(""), 4), 0);
  for (double z = 0; z < 60; z += 0.01) {
    ASSERT_LE(tail_score(z, 17), tail_score(z + 0.01, 17)) << z;
  }
}

TEST(Calibrator, FollowsTheRecipe) {
  const Calibration settings{5, 0.002, 30, 6, 20};
  Calibrator calibrator;
  std::mt19937 random(1);
  std::exponential_distribution<double> value(2);
  std::vector<double> raws;
  for (int i = 0; i < 3000; ++i) {
    const double raw = i == 2000 ? 8 : value(random);
    raws.push_back(raw);
    // Long-run moments of all raw values before this one, from scratch.
    Moments past;
    for (int k = 0; k < 30; ++k) past.add(0, 0.002);
    const double answer = calibrator.judge(raw, settings);
    if (i % 100 != 0) continue;
    for (size_t k = 0; k + 1 < raws.size(); ++k) past.add(raws[k], 0.002);
    double sum = 0;
    const size_t seen = std::min<size_t>(raws.size(), 5);
    for (size_t k = raws.size() - seen; k < raws.size(); ++k) sum += raws[k];
    const double z = (sum / static_cast<double>(seen) - past.mean) / past.deviation();
    const double expected = i < 20 ? 0 : tail_score(z, 6);
    ASSERT_NEAR(answer, expected, 1e-4) << "row " << i;
  }
}

TEST(Calibrator, LearnsAbsurdRawValuesOnlyALittle) {
  const Calibration settings{1, 0.0005, 0, 16, 20};
  Calibrator calibrator;
  for (int i = 0; i < 1000; ++i) calibrator.judge(1 + 0.1 * std::sin(i), settings);
  const double before = calibrator.past.deviation();
  for (int i = 0; i < 24; ++i) {
    EXPECT_GT(calibrator.judge(1e15, settings), 15);
  }
  EXPECT_LT(calibrator.past.deviation(), 2 * before);
  EXPECT_GT(calibrator.judge(3, settings), 2);  // 20 usual deviations are still news
}

}  // namespace
}  // namespace qw::models::detectors
