// Aim: a training publishes what is better on data it never saw, refuses the rest, and sees nothing
// it should not. Method: a small made-up history in which the right settings are known.
#include "train/detector_search.h"

#include <gtest/gtest.h>

#include <cmath>

#include "schema/profile.h"

namespace qw::train {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kRows = 3000;

struct Bump {
  int64_t at;
  double height;
};

// One noisy series with bumps of five rows.
TrainingData bumpy(const std::vector<Bump>& bumps) {
  TrainingData made;
  Series& series = made.own.series.emplace_back();
  series.name = "s";
  Random random(5);
  for (int64_t row = 0; row < kRows; ++row) {
    double value = 10 + random.uniform();
    for (const Bump& bump : bumps)
      if (row >= bump.at && row < bump.at + 5) value += bump.height;
    series.rows.push_back({row * kSecond, value});
  }
  return made;
}

Label label(int64_t first_s, bool real = true) {
  return {0, first_s * kSecond, (first_s + 8) * kSecond, real, "verdict", std::to_string(first_s)};
}

// Ten bumps, each labelled.
TrainingData plain() {
  std::vector<Bump> bumps;
  for (int64_t at = 0; at < 10; ++at) bumps.push_back({500 + at * 200, 8});
  TrainingData made = bumpy(bumps);
  for (const Bump& bump : bumps) made.own.labels.push_back(label(bump.at));
  return made;
}

SearchPlan plan() {
  SearchPlan made;
  made.kind = "activity";
  made.champion = {{"threshold", 90}};  // never alarms
  made.trials = 12;
  made.seconds_max = 3600;
  made.seed = 3;
  return made;
}

Result<SearchOutcome> search(const TrainingData& from, const SearchPlan& plan) {
  auto split = split_data(from, 0.3, 5);
  EXPECT_TRUE(split.ok());
  const ManualClock clock;
  return search_detector(std::move(split).value(), plan, clock, {}, {});
}

TEST(DetectorSearch, FindsWhatIsBetterOnUnseenData) {
  const auto outcome = search(plain(), plan());
  ASSERT_TRUE(outcome.ok()) << outcome.error().to_string();
  EXPECT_TRUE(outcome->accepted) << outcome->refusal;
  EXPECT_EQ(outcome->champion_held_out.score, 0);
  EXPECT_GT(outcome->held_out.score, 80);
  EXPECT_EQ(outcome->held_out.labels, 3u);
  EXPECT_EQ(outcome->trials, 12u);
  const auto settings = models::settings_from_json("activity", outcome->settings_json);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->at("threshold"), outcome->held_out.threshold);
  const auto profile = schema::ScoreProfile::from_json(outcome->profile_json);
  ASSERT_TRUE(profile.ok()) << profile.error().to_string();
  EXPECT_GT(profile->scores.count(), 500u);
}

TEST(DetectorSearch, EqualSeedsGiveEqualOutcomes) {
  const auto one = search(plain(), plan());
  const auto two = search(plain(), plan());
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->settings_json, two->settings_json);
  EXPECT_EQ(one->tried, two->tried);
  SearchPlan other = plan();
  other.seed = 4;
  EXPECT_NE(search(plain(), other)->tried, one->tried);
}

// What is held out may say anything: the search must go the same way.
TEST(DetectorSearch, TheSearchNeverSeesWhatDecides) {
  const TrainingData honest = plain();
  const int64_t cut_us = split_data(honest, 0.3, 5)->cut_us;
  TrainingData changed = honest;
  for (Label& one : changed.own.labels)
    if (one.first_us > cut_us) {
      one.first_us += 60 * kSecond;
      one.last_us += 60 * kSecond;
    }
  for (auto& row : changed.own.series[0].rows)
    if (row.event_time_us > cut_us) row.value = 100 - row.value;
  ASSERT_EQ(split_data(changed, 0.3, 5)->cut_us, cut_us);
  const auto one = search(honest, plan());
  const auto two = search(changed, plan());
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->tried, two->tried);
  EXPECT_EQ(one->settings_json, two->settings_json);
  EXPECT_NE(one->held_out.score, two->held_out.score);
}

// In the searched past small bumps were real; lately they are false alarms and only large ones
// are. Settings that find everything lose to the champion that waits for large ones.
TEST(DetectorSearch, WhatIsWorseOnUnseenDataIsRefused) {
  std::vector<Bump> bumps;
  for (int64_t at = 0; at < 7; ++at) bumps.push_back({500 + at * 200, 2.5});
  for (const int64_t at : {2000, 2300, 2600}) bumps.push_back({at, 2.5});
  bumps.push_back({2800, 1000});
  TrainingData made = bumpy(bumps);
  for (size_t at = 0; at < bumps.size(); ++at)
    made.own.labels.push_back(label(bumps[at].at, at < 7 || at == 10));
  SearchPlan wanted = plan();
  wanted.champion = {{"threshold", 2}};
  const auto outcome = search(made, wanted);
  ASSERT_TRUE(outcome.ok());
  EXPECT_GT(outcome->search.score, outcome->champion_search.score);
  EXPECT_LT(outcome->held_out.score, outcome->champion_held_out.score);
  EXPECT_FALSE(outcome->accepted);
  EXPECT_NE(outcome->refusal.find("is not better than the champion's"), std::string::npos);
}

TEST(DetectorSearch, EqualToTheChampionIsNotBetter) {
  SearchPlan again = plan();
  const auto found = search(plain(), again);
  ASSERT_TRUE(found->accepted);
  again.champion = found->settings;
  again.trials = 1;  // the champion itself
  const auto outcome = search(plain(), again);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->held_out.score, outcome->champion_held_out.score);
  EXPECT_FALSE(outcome->accepted);
}

TEST(DetectorSearch, TheGateDecidesWhenThereIsOne) {
  SearchPlan gated = plan();
  gated.gate = {{"held_out", true, 10, false}, {"recall", false, 0.5, true}};
  EXPECT_TRUE(search(plain(), gated)->accepted);
  gated.gate.push_back({"held_out", false, 100, true});
  const auto refused = search(plain(), gated);
  EXPECT_FALSE(refused->accepted);
  EXPECT_NE(refused->refusal.find("the gate asks for held_out > 100.00"), std::string::npos);
  gated.gate = {{"auc", false, 0.5, false}};
  EXPECT_FALSE(search(plain(), gated).ok());
}

TEST(DetectorSearch, StopsWhenAsked) {
  std::stop_source stop;
  Pace pace;
  pace.stop = stop.get_token();
  size_t trials = 0;
  const ManualClock clock;
  const auto outcome = search_detector(split_data(plain(), 0.3, 5).value(), plan(), clock, pace,
                                       [&](const SearchProgress&) {
                                         if (++trials == 3) stop.request_stop();
                                       });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(trials, 3u);
}

}  // namespace
}  // namespace qw::train
