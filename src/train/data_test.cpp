// Aim: nothing that decides is in what is searched. Method: planted labels around every edge.
#include "train/data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace qw::train {
namespace {

constexpr int64_t kSecond = 1'000'000;

History history(size_t rows) {
  History own;
  for (const char* name : {"a", "b"}) {
    Series& series = own.series.emplace_back();
    series.name = name;
    for (size_t row = 0; row < rows; ++row)
      series.rows.push_back({static_cast<int64_t>(row) * kSecond, static_cast<double>(row)});
  }
  return own;
}

Label label(int64_t first_s, int64_t last_s, bool real = true) {
  return {0, first_s * kSecond, last_s * kSecond, real, "verdict", std::to_string(first_s)};
}

TEST(SplitData, CutsTheOwnHistoryInTime) {
  TrainingData data{{}, history(1000)};
  for (int64_t at = 0; at < 10; ++at) data.own.labels.push_back(label(at * 100, at * 100 + 20));
  const auto split = split_data(data, 0.3, 5);
  ASSERT_TRUE(split.ok()) << split.error().to_string();
  EXPECT_EQ(split->cut_us, 700 * kSecond);
  EXPECT_EQ(split->search.own.labels.size(), 7u);
  EXPECT_EQ(split->held_out.own.labels.size(), 3u);
  for (const Series& series : split->search.own.series) {
    EXPECT_EQ(series.rows.size(), 700u);
    for (const auto& row : series.rows) EXPECT_LT(row.event_time_us, split->cut_us);
  }
  EXPECT_EQ(split->held_out.own.series[0].rows.size(), 1000u);
  EXPECT_EQ(split->held_out.from_us, split->cut_us);
}

TEST(SplitData, NoLabelLiesOnBothSides) {
  TrainingData data{{}, history(1000)};
  for (int64_t at = 0; at < 10; ++at) data.own.labels.push_back(label(at * 100, at * 100 + 20));
  data.own.labels.push_back(label(550, 750));
  data.own.labels.push_back(label(480, 560));
  const auto split = split_data(data, 0.3, 5);
  ASSERT_TRUE(split.ok());
  for (const Label& one : split->search.own.labels) EXPECT_LT(one.last_us, split->cut_us);
  for (const Label& one : split->held_out.own.labels) EXPECT_GE(one.first_us, split->cut_us);
  EXPECT_EQ(split->cut_us, 480 * kSecond);
}

TEST(SplitData, TheDecidingSideHasARealLabel) {
  TrainingData data{{}, history(1000)};
  for (int64_t at = 0; at < 9; ++at)
    data.own.labels.push_back(label(at * 100, at * 100 + 20, at < 5));
  const auto split = split_data(data, 0.2, 5);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->cut_us, 400 * kSecond);
}

TEST(SplitData, TooFewLabelsAreRefusedWithCountAndNeed) {
  TrainingData data{{}, history(1000)};
  for (int64_t at = 0; at < 4; ++at) data.own.labels.push_back(label(at * 100, at * 100 + 20));
  const auto few = split_data(data, 0.3, 5);
  ASSERT_FALSE(few.ok());
  EXPECT_NE(few.error().message.find("there are 4 labels; 5 are needed"), std::string::npos);
  EXPECT_TRUE(split_data(data, 0.3, 4).ok());

  for (Label& one : data.own.labels) one.real = false;
  data.own.labels[0].real = true;
  const auto one_sided = split_data(data, 0.3, 2);
  ASSERT_FALSE(one_sided.ok());
  EXPECT_NE(one_sided.error().message.find("1 labels of something real"), std::string::npos);

  TrainingData together{{}, history(1000)};
  for (int64_t at = 0; at < 5; ++at) together.own.labels.push_back(label(100 + at, 200));
  ASSERT_FALSE(split_data(together, 0.3, 5).ok());  // they cannot be told apart in time
}

TEST(SplitData, HoldsOutWholeSeriesOfABenchmark) {
  TrainingData data;
  for (int at = 0; at < 40; ++at) {
    nab::Series series{"f/" + std::to_string(at), {}, {}};
    for (int64_t row = 0; row < 100; ++row) series.rows.push_back({row * kSecond, 0});
    series.windows = {{40 * kSecond, 50 * kSecond}};
    data.nab.series.push_back(series);
  }
  const auto split = split_data(data, 0.3, 5);
  ASSERT_TRUE(split.ok());
  std::set<std::string> searched;
  for (const auto& series : split->search.nab.series) searched.insert(series.name);
  for (const auto& series : split->held_out.nab.series) EXPECT_FALSE(searched.count(series.name));
  EXPECT_EQ(split->held_out.nab.series.size(), 12u);
  EXPECT_EQ(searched.size(), 28u);
  // The order of the files changes nothing.
  std::reverse(data.nab.series.begin(), data.nab.series.end());
  const auto again = split_data(data, 0.3, 5);
  for (const auto& series : again->search.nab.series) EXPECT_TRUE(searched.count(series.name));
}

}  // namespace
}  // namespace qw::train
