// Aim: healing acts only when allowed, never too often, knows whether it helped, and never repeats
// an action after a crash.
// Method: stories of alerts and ticks, judged by the steps; the last test stores and restores the
// state after every input.
#include "monitor/actions/healing.h"

#include <gtest/gtest.h>

#include <set>

namespace qw::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000;

HealPolicy allowed() {
  HealPolicy policy;
  policy.enabled = true;
  policy.recover_within_us = 10 * kSecond;
  policy.limit_count = 3;
  policy.limit_per_us = 100 * kSecond;
  policy.stop_after = 2;
  return policy;
}

class Ward {
 public:
  explicit Ward(HealPolicy policy, bool restart_always = false)
      : healer("restart", policy), policy_(policy), restart_always_(restart_always) {}
  Ward& alert(const std::string& id, TransitionKind kind, int64_t second, bool notify = true,
              ResolveReason reason = ResolveReason::kCleared) {
    AlertChange change;
    change.alert_id = change.lead_id = id;
    change.transition.kind = kind;
    change.transition.reason = reason;
    change.notify = notify;
    std::vector<HealStep> steps;
    healer.on_alert(change, wanted, second * kSecond, steps);
    return write(steps);
  }
  Ward& fired(const std::string& id, int64_t second) {
    return alert(id, TransitionKind::kFired, second);
  }
  Ward& resolved(const std::string& id, int64_t second) {
    return alert(id, TransitionKind::kResolved, second);
  }
  Ward& ticks(int64_t from_s, int64_t to_s) {
    for (int64_t second = from_s; second <= to_s; ++second) {
      std::vector<HealStep> steps;
      healer.on_tick(second * kSecond, steps);
      write(steps);
    }
    return *this;
  }
  Ward& ticks_behind(int64_t from_s, int64_t to_s) {
    for (int64_t second = from_s; second <= to_s; ++second) healer.on_tick_behind(second * kSecond);
    return *this;
  }
  Ward& write(const std::vector<HealStep>& steps) {
    for (const HealStep& step : steps) {
      story += (story.empty() ? "" : ", ") + std::string(name_of(step.kind)).substr(7) + " " +
               step.alert_id + "#" + std::to_string(step.attempt);
      if (step.kind == HealStepKind::kOutcome) story += " " + std::string(name_of(step.outcome));
      last = step;
      const bool starts = step.kind == HealStepKind::kStart;
      if (starts && begins) healer.on_begun(step.action_id);
      const bool again = starts && !started.insert(step.action_id).second;
      EXPECT_FALSE(again) << "started twice: " << step.action_id;
    }
    if (restart_always_) {
      std::string bytes;
      healer.save(bytes);
      healer = Healer("restart", policy_);
      EXPECT_TRUE(healer.restore(bytes).ok());
    }
    return *this;
  }
  Healer healer;
  bool wanted = true;
  bool begins = true;  // a command at once
  std::string story;
  HealStep last;
  std::set<std::string> started;

 private:
  HealPolicy policy_;
  bool restart_always_;
};

TEST(Healer, NoTimePassesWhileTheRecoveryMayWaitUnread) {
  Ward ward(allowed());
  ward.fired("a-1", 0).ticks(1, 5).ticks_behind(6, 100).ticks(101, 104);
  EXPECT_EQ(ward.story, "started a-1#1");
  ward.ticks(105, 105);
  EXPECT_EQ(ward.story, "started a-1#1, outcome a-1#1 not_recovered, started a-1#2");
}

TEST(Healing, RecoveryWithinTheTimeIsSeen) {
  Ward ward(allowed());
  ward.fired("a", 0).ticks(1, 5).resolved("a", 6);
  EXPECT_EQ(ward.story, "started a#1, outcome a#1 recovered");
  EXPECT_EQ(ward.last.took_us, 6 * kSecond);
  EXPECT_EQ(ward.ticks(7, 30).story, "started a#1, outcome a#1 recovered");
}

TEST(Healing, OffUnlessAllowed) {
  HealPolicy policy = allowed();
  policy.enabled = false;
  EXPECT_EQ(Ward(policy).fired("a", 0).ticks(1, 60).story, "dry_run a#1");
  policy = allowed();
  policy.dry_run = true;
  EXPECT_EQ(Ward(policy).fired("a", 0).resolved("a", 3).story, "dry_run a#1");
  EXPECT_FALSE(HealPolicy().enabled);
}

TEST(Healing, StopsAfterActionsWithoutRecovery) {
  Ward ward(allowed());
  ward.fired("a", 0).ticks(1, 40);
  EXPECT_EQ(ward.story,
            "started a#1, outcome a#1 not_recovered, started a#2, outcome a#2 not_recovered, "
            "skipped a#3");
  EXPECT_TRUE(ward.healer.stopped());
  ward.story.clear();
  EXPECT_EQ(ward.fired("b", 41).story, "skipped b#1") << "for every alert";
  EXPECT_NE(ward.last.note.find("stopped after 2"), std::string::npos);
  std::vector<HealStep> steps;
  ward.healer.reset(42 * kSecond, steps);
  ward.story.clear();
  EXPECT_EQ(ward.fired("c", 43).story, "started c#1") << "until a person resets it";
}

TEST(Healing, ARecoveryEndsTheRowOfFailures) {
  Ward ward(allowed());
  ward.fired("a", 0).ticks(1, 12).resolved("a", 13);
  EXPECT_EQ(ward.story,
            "started a#1, outcome a#1 not_recovered, started a#2, outcome a#2 recovered");
  ward.story.clear();
  ward.fired("b", 150).ticks(151, 162);
  EXPECT_FALSE(ward.healer.stopped());
}

TEST(Healing, IsRateLimited) {
  HealPolicy policy = allowed();
  policy.stop_after = 0;
  Ward ward(policy);
  for (int i = 0; i < 5; ++i) {
    const std::string id(1, static_cast<char>('a' + i));
    ward.fired(id, i * 4).resolved(id, i * 4 + 2);
  }
  EXPECT_EQ(ward.started.size(), 3u);
  EXPECT_EQ(ward.last.kind, HealStepKind::kSkip);
  EXPECT_NE(ward.last.note.find("limit of 3 in 100 s"), std::string::npos);
  ward.ticks(20, 100).story.clear();
  EXPECT_EQ(ward.fired("z", 101).story, "started z#1") << "the span has passed";
}

TEST(Healing, GroupsAreHealedOnce) {
  Ward ward(allowed());
  ward.fired("a", 0).alert("b", TransitionKind::kFired, 0, false);
  EXPECT_EQ(ward.story, "started a#1");
}

TEST(Healing, AnUnwantedAlertIsLeftAlone) {
  Ward ward(allowed());
  ward.wanted = false;
  EXPECT_EQ(ward.fired("a", 0).ticks(1, 30).resolved("a", 31).story, "");
}

TEST(Healing, DataThatEndsProvesNothing) {
  Ward ward(allowed());
  ward.fired("a", 0).alert("a", TransitionKind::kResolved, 5, true, ResolveReason::kNoData);
  EXPECT_EQ(ward.story, "started a#1, outcome a#1 no_data");
}

TEST(Healing, AClockThatJumpsPassesNoTime) {
  Ward ward(allowed());
  ward.fired("a", 0).ticks(1, 2).ticks(5000, 5001);
  EXPECT_EQ(ward.story, "started a#1") << "2 + 5 + 1 seconds, not an hour";
  ward.ticks(100, 104);
  EXPECT_EQ(ward.story, "started a#1, outcome a#1 not_recovered, started a#2");
}

TEST(Healing, ACommandRunningAtACrashIsUnknownAndNotRunAgain) {
  Ward ward(allowed(), true);
  ward.fired("a", 0);
  std::vector<HealStep> steps;
  ward.healer.after_restart(kSecond, {}, steps);
  ward.write(steps);
  EXPECT_EQ(ward.story, "started a#1, unknown a#1");
  steps.clear();
  ward.healer.after_restart(2 * kSecond, {}, steps);
  EXPECT_TRUE(steps.empty()) << "said once";
  EXPECT_EQ(ward.resolved("a", 4).story, "started a#1, unknown a#1, outcome a#1 recovered");
  Ward finished(allowed(), true);
  finished.fired("a", 0);
  finished.healer.on_finished(finished.last.action_id);
  finished.healer.after_restart(kSecond, {}, steps);
  EXPECT_TRUE(steps.empty());
}

TEST(Healing, ACommandThatWaitedAtACrashRunsOrIsSaidToHaveNeverBegun) {
  Ward ward(allowed());
  ward.begins = false;
  ward.fired("a", 0).ticks(1, 30);
  const std::string waiting = ward.last.action_id;
  EXPECT_EQ(ward.story, "started a#1") << "what has not begun is not judged";
  std::string bytes;
  ward.healer.save(bytes);
  for (const bool resolves : {false, true}) {
    Ward next(allowed());
    ASSERT_TRUE(next.healer.restore(bytes).ok());
    std::vector<HealStep> steps;
    next.healer.after_restart(31 * kSecond, {waiting}, steps);
    EXPECT_TRUE(steps.empty()) << "nothing is unknown of it";
    EXPECT_TRUE(next.healer.waits_for(waiting));
    if (resolves) next.resolved("a", 32);
    EXPECT_EQ(next.healer.waits_for(waiting), !resolves);
    if (resolves) continue;
    next.healer.on_begun(waiting);
    EXPECT_EQ(next.ticks(32, 40).story, "");
    EXPECT_EQ(next.ticks(41, 42).story.substr(0, 25), "outcome a#1 not_recovered");
  }
  std::vector<HealStep> steps;
  ward.healer.never_began("a", 1, "more than 64 wait", 31 * kSecond, steps);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].action_id, waiting);
  EXPECT_EQ(journal_body(steps[0]).message, "never began: more than 64 wait");
  EXPECT_EQ(ward.ticks(32, 90).story, "started a#1") << "it proves nothing";
  EXPECT_EQ(ward.alert("a", TransitionKind::kEscalated, 91).story, "started a#1, started a#2");
}

TEST(Healing, TheStateStoredAfterEveryInputGivesTheSameStory) {
  std::string stories[2];
  for (const bool restart : {false, true}) {
    Ward ward(allowed(), restart);
    ward.fired("a", 0).ticks(1, 25).fired("b", 26).ticks(27, 60).resolved("a", 61);
    ward.alert("b", TransitionKind::kEscalated, 62).resolved("b", 63).fired("c", 190);
    stories[restart ? 1 : 0] = ward.story;
  }
  EXPECT_EQ(stories[0], stories[1]);
  Healer healer("restart", allowed());
  EXPECT_FALSE(healer.restore("garbage").ok());
}

TEST(Healing, JournalBodies) {
  Ward ward(allowed());
  ward.fired("a", 0).ticks(1, 5).resolved("a", 6);
  const store::HealStepBody body = journal_body(ward.last);
  EXPECT_EQ(body.kind, store::HealStepBody::kOutcome);
  EXPECT_EQ(body.outcome, "recovered");
  EXPECT_EQ(body.took_s, 6.0);
  EXPECT_EQ(body.action_id, heal_action_id("restart", "a", 1));
}

}  // namespace
}  // namespace qw::monitor
