// Aim: each rule of the alert policy holds, whatever the order, speed and jumps of time.
// Method: scripts of one line per input ("at second 3 the decision says page"), judged by the
// transitions they give; then random scripts replayed from every stored state.
#include "monitor/alerts/policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/env.h"

namespace qw::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr Severity kOff = Severity::kNone;
constexpr Severity kWarn = Severity::kWarn;
constexpr Severity kPage = Severity::kPage;

AlertPolicy short_policy() {
  AlertPolicy policy;
  policy.for_us = 2 * kSecond;
  policy.resolve_after_us = 3 * kSecond;
  policy.cooldown_us = 10 * kSecond;
  policy.stale_after_us = 20 * kSecond;
  policy.flap_fires = 0;
  return policy;
}

// Plays inputs and writes down what came of them: "fired page@3".
class Player {
 public:
  explicit Player(AlertPolicy policy = short_policy()) : policy_(policy) {
    EXPECT_TRUE(check(policy).ok());
  }
  // The decision's word on the event of second `event_s`, made at quiet second `quiet_s`.
  Player& see(int64_t event_s, Severity severity, int64_t quiet_s, double score = 1) {
    ++seq_;
    write(step(
        policy_, state,
        Observation{Seq{seq_}, EventTime{event_s * kSecond}, quiet_s * kSecond, severity, score}));
    return *this;
  }
  Player& see(int64_t second, Severity severity) { return see(second, severity, second); }
  Player& every_second(int64_t from_s, int64_t to_s, Severity severity) {
    for (int64_t second = from_s; second <= to_s; ++second) see(second, severity);
    return *this;
  }
  Player& tick(int64_t quiet_s) {
    ++tick_;
    write(step(policy_, state, Tick{tick_, quiet_s * kSecond, Seq{seq_}}));
    return *this;
  }
  Player& set_clock(int8_t direction) {
    note_clock_set(state, direction);
    return *this;
  }
  // What a restart leaves of it.
  Player& restart() {
    std::string bytes;
    encode_alert_state(state, bytes);
    state = decode_alert_state(bytes).value();
    return *this;
  }
  Player& ticks(int64_t from_s, int64_t to_s) {
    for (int64_t second = from_s; second <= to_s; ++second) tick(second);
    return *this;
  }
  std::string story() const { return story_; }

  AlertState state;

 private:
  void write(const std::optional<Transition>& transition) {
    if (!transition) return;
    std::string word = std::string(name_of(transition->kind)).substr(6);
    word += " " + std::string(name_of(transition->severity)) + "@" +
            std::to_string(transition->at_us / kSecond);
    if (transition->kind == TransitionKind::kResolved &&
        transition->reason == ResolveReason::kNoData)
      word += " no_data";
    story_ += (story_.empty() ? "" : ", ") + word;
  }
  AlertPolicy policy_;
  uint64_t seq_ = 0;
  uint64_t tick_ = 0;
  std::string story_;
};

TEST(AlertPolicy, FiresOnlyWhenTheConditionHeldForTheWholeTime) {
  EXPECT_EQ(Player().see(0, kPage).see(1, kPage).story(), "");
  EXPECT_EQ(Player().see(0, kPage).see(1, kPage).see(2, kPage).story(), "fired page@2");
  EXPECT_EQ(Player().see(0, kPage).see(1, kOff).see(2, kPage).see(3, kPage).story(), "");
}

TEST(AlertPolicy, WithoutForItFiresAtOnce) {
  AlertPolicy policy = short_policy();
  policy.for_us = 0;
  EXPECT_EQ(Player(policy).see(7, kWarn).story(), "fired warn@7");
}

TEST(AlertPolicy, OneOpenAlertAKey) {
  Player player;
  player.every_second(0, 60, kPage);
  EXPECT_EQ(player.story(), "fired page@2");
  EXPECT_EQ(player.state.began_us, 0);
  EXPECT_EQ(player.state.opened_us, 2 * kSecond);
}

TEST(AlertPolicy, ResolvesWhenClearForTheWholeTime) {
  Player player;
  player.every_second(0, 4, kPage).see(5, kOff).see(6, kOff).see(7, kPage).see(8, kOff);
  player.see(9, kOff).see(10, kOff);
  EXPECT_EQ(player.story(), "fired page@2");
  EXPECT_EQ(player.see(11, kOff).story(), "fired page@2, resolved page@11");
}

TEST(AlertPolicy, ASeverityMustItselfHold) {
  Player player;
  player.see(0, kWarn).see(1, kPage).see(2, kWarn);
  EXPECT_EQ(player.story(), "fired warn@2");
  player.see(3, kPage).see(4, kPage);
  EXPECT_EQ(player.story(), "fired warn@2");
  player.see(5, kPage).see(6, kWarn).see(7, kPage);
  EXPECT_EQ(player.story(), "fired warn@2, escalated page@5") << "and never sinks while open";
}

TEST(AlertPolicy, CooldownHoldsBackAndThenFiresIfItStillHolds) {
  Player player;
  player.every_second(0, 2, kWarn).every_second(3, 6, kOff);
  ASSERT_EQ(player.story(), "fired warn@2, resolved warn@6");
  player.every_second(7, 15, kWarn);
  EXPECT_EQ(player.story(), "fired warn@2, resolved warn@6");
  player.see(16, kWarn);
  EXPECT_EQ(player.story(), "fired warn@2, resolved warn@6, fired warn@16");
}

TEST(AlertPolicy, AHigherSeverityBreaksTheCooldown) {
  Player player;
  player.every_second(0, 2, kWarn).every_second(3, 6, kOff).every_second(7, 9, kPage);
  EXPECT_EQ(player.story(), "fired warn@2, resolved warn@6, fired page@9");
}

TEST(AlertPolicy, AnObservationOutOfOrderIsNotJudged) {
  // The late 'off' of second 1 must not end the run, the late 'page' of second 4 not begin one.
  EXPECT_EQ(Player().see(0, kPage).see(2, kPage, 2).story(), "fired page@2");
  EXPECT_EQ(Player().see(0, kPage).see(1, kPage).see(0, kOff, 1).see(2, kPage).story(),
            "fired page@2");
  Player player;
  player.every_second(0, 2, kPage).every_second(3, 5, kOff).see(4, kPage, 5).see(6, kOff);
  EXPECT_EQ(player.story(), "fired page@2, resolved page@6");
}

TEST(AlertPolicy, EventsOfOneMomentAreTakenInTheirOrder) {
  EXPECT_EQ(Player().see(0, kPage).see(2, kOff).see(2, kPage).see(3, kPage).story(), "");
}

TEST(AlertPolicy, SilenceStandsForTheLastWord) {
  // A metric that comes once a minute: nothing contradicts the first word for two seconds.
  EXPECT_EQ(Player().see(100, kPage).ticks(101, 102).story(), "fired page@102");
  EXPECT_EQ(Player().see(100, kPage).ticks(101, 101).story(), "");
  EXPECT_EQ(Player().every_second(0, 2, kPage).see(3, kOff).ticks(4, 6).story(),
            "fired page@2, resolved page@6");
}

TEST(AlertPolicy, ATickNeverFiresAheadOfEvidence) {
  // Events every second: the tick between second 1 and 2 has less than `for` of silence.
  EXPECT_EQ(Player().see(0, kPage).tick(1).see(1, kPage).tick(2).see(2, kOff).story(), "");
}

TEST(AlertPolicy, MissingDataResolvesOrIsMarked) {
  EXPECT_EQ(Player().every_second(0, 2, kPage).ticks(3, 21).story(), "fired page@2");
  EXPECT_EQ(Player().every_second(0, 2, kPage).ticks(3, 40).story(),
            "fired page@2, resolved page@22 no_data");
  AlertPolicy keep = short_policy();
  keep.on_missing = OnMissing::kMarkStale;
  Player player(keep);
  player.every_second(0, 2, kPage).ticks(3, 60);
  EXPECT_EQ(player.story(), "fired page@2, stale page@22") << "once per silence";
  player.see(61, kPage).ticks(62, 90);
  EXPECT_EQ(player.story(), "fired page@2, stale page@22, stale page@81");
}

TEST(AlertPolicy, APendingAlertEndsWithItsData) {
  AlertPolicy policy = short_policy();
  policy.for_us = 15 * kSecond;
  policy.cooldown_us = 100 * kSecond;
  Player player(policy);
  player.every_second(0, 15, kWarn).every_second(16, 19, kOff);
  ASSERT_EQ(player.story(), "fired warn@15, resolved warn@19");
  player.every_second(20, 36, kWarn).ticks(37, 80);  // held back by the cooldown, then silence
  EXPECT_EQ(player.story(), "fired warn@15, resolved warn@19");
  EXPECT_EQ(player.state.phase, AlertPhase::kIdle);
}

TEST(AlertPolicy, OldDataIsNotSilence) {
  // A backlog an hour old arrives while ticks tell the present: only recorded silence counts.
  Player player;
  for (int64_t second = 0; second < 30; ++second)
    player.see(second, kPage, 3600 + second).tick(3600 + second);
  EXPECT_EQ(player.story(), "fired page@2");
}

TEST(AlertPolicy, AProcessThatWasAwayReadsOnAsIfItHadNotBeen) {
  Player away;  // the process was stopped in the middle of `for`: quiet time stood still
  away.see(0, kPage, 100).see(1, kPage, 101).restart().tick(101).see(2, kPage, 101);
  EXPECT_EQ(away.story(), "fired page@2") << "as if it had been there";
  AlertPolicy policy = short_policy();
  policy.for_us = 15 * kSecond;
  Player sparse(policy);  // a key that reports every ten seconds
  sparse.see(0, kPage, 100).restart().see(10, kPage, 100).restart().tick(101).see(20, kPage, 101);
  EXPECT_EQ(sparse.story(), "fired page@20") << "no run is taken apart by a restart";
}

TEST(AlertPolicy, SilenceIsCountedOnAfterARestart) {
  Player player;
  player.every_second(0, 2, kPage).see(3, kOff).ticks(4, 4).restart();
  player.tick(5);
  EXPECT_EQ(player.story(), "fired page@2");
  player.restart().tick(6);
  EXPECT_EQ(player.story(), "fired page@2, resolved page@6") << "as in an undisturbed run";
  Player lost;  // the crash took the last second of quiet time with it
  lost.every_second(0, 2, kPage).see(3, kOff).restart().tick(2).tick(3).tick(4);
  EXPECT_EQ(lost.story(), "fired page@2");
  EXPECT_EQ(lost.tick(5).story(), "fired page@2, resolved page@6");
}

TEST(AlertPolicy, NobodyIsSilentWhoseEventsWait) {
  Player player;
  player.every_second(0, 2, kPage).see(3, kOff);
  for (int ticks = 0; ticks < 200; ++ticks) player.tick(3);  // no quiet time passes
  EXPECT_EQ(player.story(), "fired page@2");
  player.ticks(4, 6);
  EXPECT_EQ(player.story(), "fired page@2, resolved page@6") << "silence is counted from here on";
}

TEST(AlertPolicy, AClockThatIsSetAheadIsNoSilence) {
  Player player;
  player.every_second(0, 2, kPage).set_clock(1).ticks(3, 12);
  EXPECT_EQ(player.story(), "fired page@2") << "10 s of silence, not an hour";
  Player pending;
  pending.see(0, kPage).set_clock(1).see(3600, kPage, 1);
  EXPECT_EQ(pending.story(), "") << "one word before and one after it are not two seconds";
  pending.see(3601, kPage, 2).see(3602, kPage, 3);
  EXPECT_EQ(pending.story(), "fired page@3602");
  Player goes_on;
  goes_on.see(0, kPage).set_clock(1).see(2, kPage);
  EXPECT_EQ(goes_on.story(), "fired page@2") << "event time is of another clock";
}

TEST(AlertPolicy, AClockThatIsSetBackDoesNotFreezeAlerts) {
  Player player;
  player.every_second(7200, 7202, kPage).tick(7203).set_clock(-1).restart();
  ASSERT_EQ(player.story(), "fired page@7202");
  player.every_second(3601, 3604, kOff);
  EXPECT_EQ(player.story(), "fired page@7202, resolved page@3604");
  player.every_second(3605, 3613, kPage);
  EXPECT_EQ(player.story(), "fired page@7202, resolved page@3604") << "the cooldown still counts";
  player.every_second(3614, 3614, kPage);
  EXPECT_EQ(player.story(), "fired page@7202, resolved page@3604, fired page@3614");
}

TEST(AlertPolicy, ACooldownSurvivesAJumpBack) {
  Player player;
  player.every_second(7200, 7202, kWarn).every_second(7203, 7206, kOff);
  ASSERT_EQ(player.story(), "fired warn@7202, resolved warn@7206");
  player.set_clock(-1);
  player.every_second(100, 108, kWarn);  // the cooldown of 10 s moved along: it ends at 110
  EXPECT_EQ(player.story(), "fired warn@7202, resolved warn@7206");
  player.every_second(109, 111, kWarn);
  EXPECT_EQ(player.story(), "fired warn@7202, resolved warn@7206, fired warn@110");
}

TEST(AlertPolicy, AFlappingKeyIsOneLongAlert) {
  AlertPolicy policy = short_policy();
  policy.for_us = 0;
  policy.resolve_after_us = kSecond;
  policy.cooldown_us = 0;
  policy.flap_fires = 3;
  policy.flap_window_us = 60 * kSecond;
  policy.flap_resolve_after_us = 10 * kSecond;
  Player player(policy);
  for (int64_t begin = 0; begin < 40; begin += 4)
    player.see(begin, kWarn).see(begin + 1, kOff).see(begin + 2, kOff);
  const std::string twice = "fired warn@0, resolved warn@2, fired warn@4, resolved warn@6, ";
  EXPECT_EQ(player.story(), twice + "fired warn@8") << "ten bursts, three alerts";
  player.every_second(39, 47, kOff);
  EXPECT_EQ(player.story(), twice + "fired warn@8, resolved warn@47");
}

TEST(AlertPolicy, ScoreMaxCoversTheRunAndIgnoresNaN) {
  Player player;
  player.see(0, kPage, 0, 5).see(1, kPage, 1, std::nan("")).see(2, kPage, 2, 3);
  EXPECT_EQ(player.state.score_max, 5);
  player.see(3, kOff, 3, 9);
  EXPECT_EQ(player.state.score_max, 9);
}

TEST(AlertPolicy, ExtremeTimesDoNotOverflow) {
  AlertPolicy policy = short_policy();
  AlertState state;
  const int64_t most = std::numeric_limits<int64_t>::max();
  const int64_t least = std::numeric_limits<int64_t>::min() + 1;
  uint64_t seq = 0;
  for (const int64_t time_us : {least, int64_t{0}, most, least, most})
    (void)step(policy, state, Observation{Seq{++seq}, EventTime{time_us}, time_us, kPage, 1});
  for (uint64_t tick = 1; tick < 4; ++tick) (void)step(policy, state, Tick{tick, most, Seq{seq}});
  EXPECT_EQ(state.applied_seq, seq);
}

// A random life of one key, with every input kept so that it can be played again.
struct Input {
  bool is_tick = false;
  int8_t clock_set = 0;  // before it
  Observation observation;
  Tick tick;
};
std::vector<Input> random_life(uint64_t seed) {
  Random random(seed);
  std::vector<Input> inputs;
  int64_t clock_us = 1'000 * kSecond;
  int64_t quiet_us = 0;
  uint64_t seq = 0;
  uint64_t ticks = 0;
  for (int i = 0; i < 400; ++i) {
    const auto moved_us = static_cast<int64_t>(random.below(kSecond));
    clock_us += moved_us;
    if (random.below(10) != 0) quiet_us += moved_us;
    Input input;
    if (random.below(60) == 0) {
      input.clock_set = random.below(2) == 0 ? 1 : -1;
      clock_us += input.clock_set * 40 * kSecond;
    }
    if (random.below(3) == 0) {
      input.is_tick = true;
      input.tick = Tick{++ticks, quiet_us, Seq{seq}};
    } else {
      const int64_t late_us =
          random.below(5) == 0 ? static_cast<int64_t>(random.below(kSecond)) : 0;
      const auto severity =
          (i / 20) % 2 == 0 ? static_cast<Severity>(random.below(4)) : Severity::kNone;
      input.observation = Observation{Seq{++seq}, EventTime{clock_us - late_us}, quiet_us, severity,
                                      random.uniform()};
    }
    inputs.push_back(input);
  }
  return inputs;
}
std::optional<Transition> play(const AlertPolicy& policy, AlertState& state, const Input& input) {
  const bool applied = input.is_tick ? input.tick.number <= state.applied_tick ||
                                           input.tick.after.value() < state.applied_seq
                                     : input.observation.seq.value() <= state.applied_seq;
  if (input.clock_set != 0 && !applied) note_clock_set(state, input.clock_set);
  return input.is_tick ? step(policy, state, input.tick) : step(policy, state, input.observation);
}

TEST(AlertPolicy, ReplayFromAnyStoredStateEqualsTheUndisturbedRun) {
  AlertPolicy policy = short_policy();
  policy.flap_fires = 3;
  int transitions = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<Input> inputs = random_life(seed);
    std::vector<AlertState> states;
    AlertState state;
    for (const Input& input : inputs) {
      if (play(policy, state, input)) ++transitions;
      states.push_back(state);
    }
    for (size_t stored = 0; stored < inputs.size(); ++stored) {
      std::string bytes;
      encode_alert_state(states[stored], bytes);
      auto restored = decode_alert_state(bytes);
      ASSERT_TRUE(restored.ok());
      ASSERT_EQ(*restored, states[stored]);
      for (size_t i = 0; i < inputs.size(); ++i) {  // everything again, from the very first input
        const AlertState before = *restored;
        const auto transition = play(policy, *restored, inputs[i]);
        if (i <= stored) {
          ASSERT_FALSE(transition) << "seed " << seed << ": a transition was given twice";
          ASSERT_EQ(*restored, before) << "seed " << seed;
        }
      }
      ASSERT_EQ(*restored, states.back()) << "seed " << seed << ", stored after input " << stored;
    }
  }
  EXPECT_GT(transitions, 100) << "the lives were too quiet to prove anything";
}

TEST(AlertPolicy, StoredBytesAreFixedAndChecked) {
  Player player;
  player.every_second(0, 4, kPage);
  std::string bytes;
  encode_alert_state(player.state, bytes);
  EXPECT_EQ(bytes.size(), kAlertStateBytes);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(decode_alert_state(damaged).ok()) << "byte " << at;
  }
  EXPECT_FALSE(decode_alert_state(bytes.substr(1)).ok());
}

// Version 1 counted ticks from each start and measured silence by the wall clock.
TEST(AlertPolicy, AStateOfVersionOneHearsTheTicksOfALaterStart) {
  Player player;
  player.every_second(0, 2, kPage).see(3, kOff);
  player.state.applied_tick = 40;
  player.state.quiet_us = 1'700'000'000 * kSecond;
  std::string bytes;
  encode_alert_state(player.state, bytes);
  bytes.resize(kAlertStateBytes - sizeof(uint64_t));
  bytes[0] = 1;
  ByteWriter(bytes).u64(checksum64(bytes));
  player.state = decode_alert_state(bytes).value();
  EXPECT_EQ(player.ticks(100, 102).story(), "fired page@2");
  EXPECT_EQ(player.tick(103).story(), "fired page@2, resolved page@6");
}

TEST(AlertPolicy, ImpossibleSettingsAreRefusedByName) {
  AlertPolicy policy;
  EXPECT_TRUE(check(policy).ok());
  policy.stale_after_us = policy.resolve_after_us;
  ASSERT_FALSE(check(policy).ok());
  EXPECT_NE(check(policy).error().message.find("stale_after"), std::string::npos);
  policy = {};
  policy.flap_fires = 1;
  EXPECT_FALSE(check(policy).ok());
  policy = {};
  policy.for_us = -1;
  EXPECT_FALSE(check(policy).ok());
}

TEST(AlertPolicy, SeverityWords) {
  EXPECT_EQ(parse_severity("page").value(), kPage);
  EXPECT_EQ(parse_severity("warning").value(), kWarn);
  ASSERT_FALSE(parse_severity("loud").ok());
  EXPECT_NE(parse_severity("loud").error().how_to_mend.find("'warn'"), std::string::npos);
  EXPECT_EQ(api_name_of(kPage), "critical");
}

}  // namespace
}  // namespace qw::monitor
