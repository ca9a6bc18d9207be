// Aim: drift is found, and hardly ever where there is none, however often one looks and however
// much scores resemble their neighbours.
// Method: simulated lives of a model: AR(1) scores from fixed seeds, without the least distance, so
// that the statistics alone are judged; the share of lives with a false alarm is counted against
// what is promised. Beside it the ways of a state: learning, restart, too few scores.
#include "monitor/drift/watch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/env.h"

namespace qw::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000;

// Standard normal numbers, each `likeness` times the one before plus fresh noise.
class Scores {
 public:
  Scores(uint64_t seed, double likeness) : random_(seed), likeness_(likeness) { now_ = fresh(); }
  double next() {
    now_ = likeness_ * now_ + std::sqrt(1 - likeness_ * likeness_) * fresh();
    return now_;
  }

 private:
  double fresh() {
    const double radius = std::sqrt(-2 * std::log(1 - random_.uniform()));
    return radius * std::cos(2 * std::numbers::pi * random_.uniform());
  }
  Random random_;
  double likeness_;
  double now_ = 0;
};

struct Life {
  DriftWatch watch;
  Scores scores;
  int64_t at_us = 1'700'000'000 * kSecond;

  Life(const DriftPolicy& policy, uint64_t seed, double likeness)
      : watch(policy), scores(seed, likeness) {}
  // One score a second; the looks of so many spans.
  std::vector<DriftLook> live(int spans, double shift = 0) {
    std::vector<DriftLook> looks;
    for (int64_t i = 0; i < spans * 1200; ++i, at_us += kSecond)
      if (const auto look = watch.add(at_us, true, 3 + scores.next() + shift))
        looks.push_back(*look);
    return looks;
  }
};

DriftPolicy policy() {
  DriftPolicy policy;
  policy.every_us = 1200 * kSecond;
  return policy;
}

// How many of 300 lives of 30 looks had an alarm.
int false_alarms(double likeness) {
  DriftPolicy statistics_alone = policy();
  statistics_alone.distance_min = 0;
  int lives = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Life life(statistics_alone, seed * 7919, likeness);
    life.live(6);
    bool alarmed = false;
    for (const DriftLook& look : life.live(30)) alarmed |= look.state == DriftState::kDrifting;
    lives += alarmed ? 1 : 0;
  }
  return lives;
}

TEST(DriftWatch, FalseAlarmsAreRarerThanPromised) {
  // Promised: 1% of lives, so 3 of 300.
  for (const double likeness : {0.0, 0.5, 0.9, 0.95}) {
    const int lives = false_alarms(likeness);
    RecordProperty("lives_with_alarm_" + std::to_string(likeness), lives);
    EXPECT_LE(lives, 3) << "AR(1) " << likeness;
  }
}

TEST(DriftWatch, LookingAgainAndAgainCostsNothing) {
  DriftPolicy statistics_alone = policy();
  statistics_alone.every_us = 200 * kSecond;
  statistics_alone.distance_min = 0;
  int lives = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Scores scores(seed * 31, 0);
    schema::ScoreProfile reference;
    for (int i = 0; i < 2000; ++i) reference.scores.add(3 + scores.next());
    reference.effective = 2000;  // exact, without the caution of an estimate
    DriftWatch watch(statistics_alone, reference);
    bool alarmed = false;
    for (int64_t i = 0; i < 50 * 200; ++i)
      if (const auto look = watch.add(i * kSecond, true, 3 + scores.next()))
        alarmed |= look->state == DriftState::kDrifting;
    lives += alarmed ? 1 : 0;
  }
  EXPECT_LE(lives, 3) << "1% of 300 lives of 50 looks";
}

TEST(DriftWatch, AShiftIsFoundWithinTwoLooks) {
  for (const double likeness : {0.0, 0.5, 0.9}) {
    int found = 0;
    for (uint64_t seed = 1; seed <= 100; ++seed) {
      Life life(policy(), seed * 104729, likeness);
      life.live(12);
      // Half a standard deviation: the exact distance is 0.197; 0.9 alike, the whole one: 0.383.
      for (const DriftLook& look : life.live(3, likeness < 0.9 ? 0.5 : 1.0))
        if (look.state == DriftState::kDrifting && look.changed) ++found;
    }
    EXPECT_GE(found, 95) << "AR(1) " << likeness;
  }
}

TEST(DriftWatch, ADifferenceBelowTheLeastDistanceIsNoDrift) {
  DriftPolicy coarse = policy();
  coarse.distance_min = 0.3;
  Life life(coarse, 5, 0);
  life.live(6);
  for (const DriftLook& look : life.live(5, 0.5)) {
    EXPECT_EQ(look.state, DriftState::kSteady);
    EXPECT_EQ(look.threshold, 0.3);
  }
  const auto looks = life.live(3, 1.5);
  EXPECT_EQ(looks.back().state, DriftState::kDrifting);
}

TEST(DriftWatch, SteadyAgainAfterTwoQuietLooks) {
  Life life(policy(), 6, 0.5);
  life.live(6);
  EXPECT_EQ(life.watch.state(), DriftState::kSteady);
  life.live(3, 2);
  EXPECT_EQ(life.watch.state(), DriftState::kDrifting);
  std::vector<DriftState> states;
  int changes = 0;
  for (const DriftLook& look : life.live(4)) {
    states.push_back(look.state);
    changes += look.changed ? 1 : 0;
  }
  EXPECT_EQ(states, (std::vector{DriftState::kDrifting, DriftState::kDrifting, DriftState::kSteady,
                                 DriftState::kSteady}))
      << "the first of them still looks at the last shifted span";
  EXPECT_EQ(changes, 1);
}

TEST(DriftWatch, TheReferenceBeginsWhenMostSeriesAreWarm) {
  DriftWatch watch(policy());
  int64_t at_us = 0;
  const auto span = [&](bool warm, double score) {
    for (int i = 0; i < 1200; ++i, at_us += kSecond) watch.add(at_us, warm, score + i * 1e-3);
  };
  for (int spans = 0; spans < 10; ++spans) span(false, 99);
  EXPECT_EQ(watch.state(), DriftState::kLearning);
  span(true, 50);  // the span that shows that they are warm is not part of it
  for (int spans = 0; spans < 4; ++spans) span(true, 3);
  EXPECT_EQ(watch.state(), DriftState::kLearning) << "the fourth span is not over";
  span(true, 3);
  EXPECT_EQ(watch.state(), DriftState::kSteady);
  EXPECT_EQ(watch.reference()->scores.count(), 4 * 1200u);
  EXPECT_LT(watch.reference()->scores.quantile(1), 5);
  const schema::ScoreProfile frozen = *watch.reference();
  for (int spans = 0; spans < 4; ++spans) span(true, 20);
  EXPECT_EQ(watch.reference()->scores, frozen.scores) << "a reference never moves";
  EXPECT_EQ(watch.state(), DriftState::kDrifting);
}

TEST(DriftWatch, AGivenReferenceIsComparedFromTheFirstSpanOn) {
  schema::SlicedScores training;
  Scores scores(1, 0);
  for (int64_t i = 0; i < 20'000; ++i) training.add(i * kSecond, 3 + scores.next());
  DriftWatch watch(policy(), training.profile());
  EXPECT_EQ(watch.state(), DriftState::kSteady);
  std::optional<DriftLook> look;
  for (int64_t i = 0; i <= 1200; ++i) {
    look = watch.add(i * kSecond, true, 5 + scores.next());
    if (look) break;
  }
  ASSERT_TRUE(look);
  EXPECT_EQ(look->state, DriftState::kDrifting);
  EXPECT_EQ(look->number, 1u);
  EXPECT_EQ(look->scores, 1200u);
  EXPECT_EQ(look->at_us, 1200 * kSecond);
}

TEST(DriftWatch, ASpanWithTooFewScoresIsNotJudged) {
  Life life(policy(), 9, 0);
  life.live(7);
  life.at_us += 2 * 1200 * kSecond;  // silence
  const uint64_t before = life.watch.last_look()->number;
  for (int i = 0; i < 20; ++i, life.at_us += kSecond) life.watch.add(life.at_us, true, 99);
  life.at_us += 2 * 1200 * kSecond;
  life.watch.add(life.at_us, true, 99);
  EXPECT_EQ(life.watch.last_look()->number, before + 1) << "the span before the silence alone";
  EXPECT_EQ(life.watch.state(), DriftState::kSteady);
}

TEST(DriftWatch, ARestartAtAnyScoreChangesNoLook) {
  Life whole(policy(), 11, 0.5);
  Life parts(policy(), 11, 0.5);
  const auto compare = [](const std::vector<DriftLook>& a, const std::vector<DriftLook>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].number, b[i].number);
      EXPECT_EQ(a[i].distance, b[i].distance);
      EXPECT_EQ(a[i].threshold, b[i].threshold);
      EXPECT_EQ(a[i].state, b[i].state);
    }
  };
  for (int spans = 0; spans < 12; ++spans) {
    std::string saved;
    parts.watch.save(saved);
    DriftWatch again(policy());
    ASSERT_TRUE(again.restore(saved).ok());
    parts.watch = again;
    EXPECT_LT(saved.size(), 64'000u);
    const double shift = spans > 8 ? 1.0 : 0.0;
    compare(whole.live(1, shift), parts.live(1, shift));
  }
  EXPECT_EQ(parts.watch.state(), DriftState::kDrifting);
}

TEST(DriftWatch, DamagedForeignOrOtherwiseSpannedStatesAreRefused) {
  Life life(policy(), 12, 0);
  life.live(8);
  std::string saved;
  life.watch.save(saved);
  DriftPolicy other = policy();
  other.every_us *= 2;
  DriftWatch watch(other);
  EXPECT_EQ(watch.restore(saved).error().code, ErrorCode::kConflict);
  DriftWatch same(policy());
  for (const size_t at : {size_t{0}, saved.size() / 2, saved.size() - 1}) {
    std::string bad = saved;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    EXPECT_FALSE(same.restore(bad).ok()) << at;
  }
  EXPECT_FALSE(same.restore(saved.substr(0, saved.size() - 3)).ok());
  EXPECT_EQ(same.state(), DriftState::kLearning);
}

TEST(DriftWatch, SettingsOutOfRangeAreNamed) {
  DriftPolicy wrong = policy();
  wrong.every_us = 10;
  EXPECT_NE(check(wrong).error().message.find("every"), std::string::npos);
  wrong = policy();
  wrong.distance_min = 1.5;
  EXPECT_NE(check(wrong).error().message.find("threshold"), std::string::npos);
}

}  // namespace
}  // namespace qw::monitor
