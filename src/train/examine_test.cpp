// Aim: the number that decides says what it claims. Method: answers written by hand, scores worked
// out on paper.
#include "train/examine.h"

#include <gtest/gtest.h>

#include <limits>

namespace qw::train {
namespace {

constexpr int64_t kSecond = 1'000'000;

// Two series of 1000 rows, one a second.
Part part(std::vector<Label> labels) {
  Part made;
  for (const char* name : {"a", "b"}) {
    Series& series = made.own.series.emplace_back();
    series.name = name;
    for (int64_t row = 0; row < 1000; ++row) series.rows.push_back({row * kSecond, 0});
  }
  made.own.labels = std::move(labels);
  return made;
}

Label label(std::optional<size_t> series, int64_t first_s, int64_t last_s, bool real = true) {
  return {series, first_s * kSecond, last_s * kSecond, real, "verdict", "x"};
}

Answers answers(std::vector<std::pair<size_t, size_t>> high) {
  Answers made;
  made.own.assign(2, std::vector<double>(1000, 0));
  for (const auto& [series, row] : high) made.own[series][row] = 5;
  return made;
}

double score(const std::vector<Label>& labels, const std::vector<std::pair<size_t, size_t>>& high) {
  return Examiner(part(labels)).judge(answers(high), 3).score;
}

TEST(Examiner, CountsLabelsAndAlarms) {
  const std::vector<Label> two = {label(0, 100, 120), label(1, 500, 520)};
  EXPECT_DOUBLE_EQ(score(two, {{0, 110}, {1, 500}}), 100);
  EXPECT_DOUBLE_EQ(score(two, {{0, 110}}), 100 * 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(score(two, {}), 0);
  EXPECT_DOUBLE_EQ(score(two, {{1, 110}}), 0);  // the wrong series
  EXPECT_NEAR(score(two, {{0, 110}, {1, 510}, {0, 900}}), 100 * 4 / (4 + 0.11), 1e-9);
}

TEST(Examiner, AnAlarmCalledFalseCostsAsMuchAsAMiss) {
  const std::vector<Label> labels = {label(0, 100, 120), label(0, 300, 320, false)};
  EXPECT_DOUBLE_EQ(score(labels, {{0, 110}}), 100);
  EXPECT_DOUBLE_EQ(score(labels, {{0, 110}, {0, 310}}), 100 * 2.0 / 3.0);
}

TEST(Examiner, ALabelWithoutASeriesIsFoundInAny) {
  const std::vector<Label> labels = {label(std::nullopt, 100, 120)};
  EXPECT_DOUBLE_EQ(score(labels, {{1, 105}}), 100);
  EXPECT_DOUBLE_EQ(score(labels, {{0, 105}, {1, 119}}), 100);
}

TEST(Examiner, RowsCloseTogetherAreOneAlarm) {
  const std::vector<Label> labels = {label(0, 100, 120)};
  std::vector<std::pair<size_t, size_t>> high = {{0, 110}};
  for (size_t row = 600; row < 640; row += 10) high.emplace_back(0, row);
  EXPECT_NEAR(score(labels, high), 100 * 2 / (2 + 0.11), 1e-9);
  high.emplace_back(0, 700);
  EXPECT_NEAR(score(labels, high), 100 * 2 / (2 + 0.22), 1e-9);
}

TEST(Examiner, RowsBeforeTheCutAreNotJudged) {
  Part late = part({label(0, 500, 520)});
  late.from_us = 400 * kSecond;
  const Examiner examiner(late);
  EXPECT_DOUBLE_EQ(examiner.judge(answers({{0, 100}, {1, 200}, {0, 510}}), 3).score, 100);
}

TEST(Examiner, FindsTheThresholdThatTellsThemApart) {
  Answers made = answers({{0, 110}});
  for (size_t row = 0; row < 1000; row += 50)
    made.own[1][row] = 1 + static_cast<double>(row % 100) / 50.0;
  const Examiner examiner(part({label(0, 100, 120)}));
  const Verdict best = examiner.best(made, 0.5);
  EXPECT_DOUBLE_EQ(best.score, 100);
  EXPECT_DOUBLE_EQ(best.threshold, 3.5);
  EXPECT_EQ(best.found, 1u);
  EXPECT_EQ(best.false_alarms, 0u);
  EXPECT_DOUBLE_EQ(examiner.best(made, 4).threshold, 4) << "the usual one wins ties";
}

}  // namespace
}  // namespace qw::train
