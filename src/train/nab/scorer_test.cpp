// Aim: the score is NAB's, not one of our own. Method: hand-computed figures on a tiny series. The
// published results of detectors that can be rewritten exactly are in bench/nab/published_test.cpp.
#include "train/nab/scorer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qw::train::nab {
namespace {

constexpr int64_t kMinute = 60'000'000;

double sigmoid_at(double position) { return 2 / (1 + std::exp(5 * position)) - 1; }

// 100 rows, a window over rows 40..59; the first 15 are probation.
Corpus tiny() {
  Series series{"tiny", {}, {{40 * kMinute, 59 * kMinute}}};
  for (int64_t i = 0; i < 100; ++i) series.rows.push_back({i * kMinute, 0});
  return {{series}, {{"standard", 1, 0.11, 1}}};
}

double raw_of(const Corpus& corpus, std::vector<uint32_t> alarms) {
  return Scorer(corpus).raw_score(0, alarms, corpus.profiles[0]);
}

TEST(Scorer, ValuesAlarmsByPlace) {
  const Corpus corpus = tiny();
  EXPECT_DOUBLE_EQ(raw_of(corpus, {}), -1);
  EXPECT_DOUBLE_EQ(raw_of(corpus, {40}), 1);
  EXPECT_NEAR(raw_of(corpus, {50}), sigmoid_at(-0.5) / sigmoid_at(-1), 1e-12);
  EXPECT_NEAR(raw_of(corpus, {59}), sigmoid_at(-1.0 / 20) / sigmoid_at(-1), 1e-12);
  EXPECT_DOUBLE_EQ(raw_of(corpus, {40, 41, 59}), 1);  // only the best in a window counts
  EXPECT_DOUBLE_EQ(raw_of(corpus, {20}), -1 - 0.11);  // before any window: full cost
  EXPECT_NEAR(raw_of(corpus, {60}), -1 + 0.11 * sigmoid_at(1.0 / 19), 1e-12);
  EXPECT_NEAR(raw_of(corpus, {60, 61}), -1 + 0.11 * (sigmoid_at(1.0 / 19) + sigmoid_at(2.0 / 19)),
              1e-12);
  EXPECT_DOUBLE_EQ(raw_of(corpus, {14}), -1);  // probation
  EXPECT_DOUBLE_EQ(raw_of(corpus, {15}), -1 - 0.11);
}

TEST(Scorer, ProbationIsShareOrCap) {
  EXPECT_EQ(probation_rows(100), 15U);
  EXPECT_EQ(probation_rows(4032), 604U);
  EXPECT_EQ(probation_rows(22695), 750U);
}

TEST(Scorer, NothingIsZeroAndPerfectIsHundred) {
  const Corpus corpus = tiny();
  const Scorer scorer(corpus);
  EXPECT_DOUBLE_EQ(scorer.score({{}}, corpus.profiles[0]), 0);
  EXPECT_DOUBLE_EQ(scorer.score({{40}}, corpus.profiles[0]), 100);
}

TEST(Scorer, FindsTheBestThresholdWithTies) {
  const Corpus corpus = tiny();
  std::vector<double> scores(100, 0.0);
  scores[40] = 0.5;
  scores[90] = 0.5;  // cannot be had without row 90
  scores[95] = 0.2;
  const Scorer::Best best = Scorer(corpus).best_over_thresholds({scores}, corpus.profiles[0]);
  EXPECT_DOUBLE_EQ(best.threshold, 0.5);
  const double after = sigmoid_at((90 - 59) / 19.0);
  EXPECT_NEAR(best.score, 100 * (1 + 0.11 * after + 1) / 2, 1e-9);
}

TEST(ParseTime, ReadsBothForms) {
  EXPECT_EQ(parse_time_us("1970-01-02 00:00:01").value_or(0), 86401 * int64_t{1'000'000});
  EXPECT_EQ(parse_time_us("2014-04-10 07:15:00.000000").value_or(0), 1397114100 * 1'000'000L);
  EXPECT_FALSE(parse_time_us("yesterday").ok());
}

}  // namespace
}  // namespace qw::train::nab
