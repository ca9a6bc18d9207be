// Aim: restarts change no alert and no healing action: what an undisturbed run finds, a run finds
// that was killed, paused, and away for seconds or hours.
// Method: the pipeline itself on a clock that the test moves, over lives made of a seed, fed as a
// source would: live, or a backlog after a time away. The journal of the undisturbed run is the
// expected answer.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "flow_run.h"

namespace qw::test {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kFirstUs = 1'700'000'000'000'000;
constexpr const char* kKeys[] = {"steady", "sparse", "other"};
constexpr int64_t kPeriodsS[] = {1, 7, 2};

struct Event {
  int64_t at_us = 0;
  std::string key;
  double value = 0;
};

app::AppFile watched_app() {
  app::AppFile file = value_app();
  app::Alert& alert = *file.decisions[0].alert;
  alert.for_us = 10 * kSecond;
  alert.resolve_after_us = 12 * kSecond;
  alert.cooldown_us = 15 * kSecond;
  return file;
}

// One process after another on one data folder.
class Processes {
 public:
  Processes(std::string root, app::AppFile file) : root_(std::move(root)) {
    plan_ = app::compile_plan(std::move(file)).value();
    start();
  }
  void start() {
    run_ = std::make_unique<Run>();
    store::StoreOptions options;
    options.folder = root_;
    run_->store = store::Store::open(options, run_->metrics).value();
    run_->committer = std::make_unique<store::Committer>(*run_->store, clock, run_->metrics,
                                                         store::CommitterOptions());
    run_->journal = std::make_unique<store::Journal>(clock);
    EXPECT_TRUE(run_->committer->open().ok());
    run_->lane = &run_->committer->lane("events");
    run_->outboxes = std::make_unique<streams::Outboxes>(*run_->store, *run_->lane, *run_->journal,
                                                         clock, run_->metrics);
    run_->healing =
        std::make_unique<app::Healers>(*plan_, *run_->lane, *run_->journal, *run_->outboxes, clock);
    EXPECT_TRUE(run_->healing->add_sinks({clock, run_->metrics}, {}).ok());
    run_->checkpointer = std::make_unique<store::Checkpointer>(*run_->store, *run_->lane, clock,
                                                               store::CheckpointerOptions());
    run_->pipeline = std::make_unique<app::Pipeline>(
        plan_, *run_->store, *run_->lane, *run_->checkpointer, *run_->journal, *run_->outboxes,
        *run_->healing, clock, run_->metrics, app::PipelineOptions());
    EXPECT_TRUE(run_->pipeline->open().ok());
    const auto saved = run_->pipeline->saved_positions(0);
    const auto found = saved.find(0);
    next_ = found == saved.end() ? 0 : std::stoull(found->second);
  }
  // By kill -9: what is not committed is gone.
  void restart(int64_t away_us) {
    run_.reset();
    clock.advance_us(away_us);
    start();
  }
  void commit() { EXPECT_TRUE(run_->committer->step().ok()); }
  // What of `events` is there by now, at most `most`. Whether more of it waits.
  bool feed(const std::vector<Event>& events, size_t most) {
    for (; next_ < events.size() && events[next_].at_us <= clock.wall_us() && most > 0; --most) {
      const Event& event = events[next_++];
      streams::SourceBatch batch(metric_schema());
      batch.rows.append_row({event.key, event.value, event.at_us});
      batch.positions.push_back(next_);
      batch.resume = std::to_string(next_);
      const auto held = run_->lane->hold();
      EXPECT_TRUE(run_->pipeline->accept(0, std::move(batch), clock.monotonic_ns()).ok());
    }
    return next_ < events.size() && events[next_].at_us <= clock.wall_us();
  }
  void tick(bool behind) {
    const auto held = run_->lane->hold();
    EXPECT_TRUE(run_->pipeline->tick([behind](size_t) { return behind; }).ok());
  }
  // A second of a process that keeps up, or works off a backlog.
  void second(const std::vector<Event>& events) {
    const bool behind = feed(events, 500);
    tick(behind);
    commit();
    clock.advance_us(kSecond);
  }
  size_t open_alerts() const { return run_->pipeline->alerting().open_alerts(); }
  // Closes the folder.
  void end() { run_.reset(); }

  ManualClock clock{kFirstUs};

 private:
  struct Run {
    MetricRegistry metrics;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<store::Committer> committer;
    store::Lane* lane = nullptr;
    std::unique_ptr<store::Journal> journal;
    std::unique_ptr<streams::Outboxes> outboxes;
    std::unique_ptr<app::Healers> healing;
    std::unique_ptr<store::Checkpointer> checkpointer;
    std::unique_ptr<app::Pipeline> pipeline;
  };
  std::string root_;
  std::shared_ptr<const app::Plan> plan_;
  std::unique_ptr<Run> run_;
  size_t next_ = 0;
};

class AlertRestart : public FlowTest {
 protected:
  // Keys that are ill for some seconds or minutes, now and then; the last word of each is good.
  static std::vector<Event> life(uint64_t seed, int64_t seconds) {
    Random random(seed);
    std::vector<Event> events;
    bool ill[3] = {};
    int64_t until_s[3] = {};
    for (int64_t second = 1; second < seconds; ++second)
      for (size_t key = 0; key < 3; ++key) {
        if (second >= until_s[key]) {
          ill[key] = !ill[key] && second < seconds - 200;
          until_s[key] = second + 1 + static_cast<int64_t>(random.below(ill[key] ? 60 : 400));
        }
        if (second % kPeriodsS[key] == 0)
          events.push_back({kFirstUs + second * kSecond, kKeys[key], ill[key] ? 2000.0 : 1.0});
      }
    return events;
  }

  // Every change of an alert in order of its kind, key and time, without the clock's own moments.
  std::vector<std::string> alerts() {
    std::vector<std::string> found;
    for (const auto& [kind, body] : journal_of(*open_store())) {
      if (!kind.starts_with("alert_")) continue;
      const int64_t at_us =
          body.value(kind == "alert_resolved" ? "resolved_us" : "opened_us", int64_t{0});
      found.push_back(fmt::format("{} {} {} at {}", body["key"].get<std::string>(), kind,
                                  body["id"].get<std::string>(), (at_us - kFirstUs) / kSecond));
    }
    std::ranges::sort(found);
    return found;
  }

  std::vector<std::string> undisturbed(const std::vector<Event>& events, int64_t seconds) {
    std::filesystem::remove_all(root_);
    Processes processes(root_, watched_app());
    while (processes.clock.wall_us() < kFirstUs + seconds * kSecond) processes.second(events);
    processes.end();
    return alerts();
  }
};

TEST_F(AlertRestart, AlertsAreThoseOfAnUndisturbedRun) {
  constexpr int64_t kSeconds = 12'000;
  size_t restarts = 0;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const std::vector<Event> events = life(seed, kSeconds);
    const std::vector<std::string> expected = undisturbed(events, kSeconds + 30);
    ASSERT_GT(expected.size(), 100u);
    std::filesystem::remove_all(root_);
    Processes processes(root_, watched_app());
    Random random(seed * 1000);
    bool was_away_for_long = false;
    while (processes.clock.wall_us() < kFirstUs + (kSeconds + 30) * kSecond) {
      processes.second(events);
      if (processes.clock.wall_us() > kFirstUs + (kSeconds - 60) * kSecond) continue;
      if (random.below(120) != 0) continue;
      ++restarts;
      switch (random.below(5)) {
        case 0: processes.restart(0); break;
        case 1: processes.restart(static_cast<int64_t>(random.below(9)) * kSecond); break;
        case 2: processes.clock.advance_us(30 * kSecond); break;  // stopped by SIGSTOP
        case 3:  // work that no commit has seen is done again
          processes.feed(events, random.below(20));
          processes.restart(kSecond);
          break;
        case 4:
          if (std::exchange(was_away_for_long, true)) break;
          processes.restart((3'600 + static_cast<int64_t>(random.below(600))) * kSecond);
          break;
      }
    }
    processes.end();
    EXPECT_EQ(alerts(), expected) << "seed " << seed;
  }
  EXPECT_GT(restarts, 60u);
}

// Silence is measured by ticks; those of a start must not begin at 0, nor its time.
TEST_F(AlertRestart, SilenceEndsAnAlertHoweverLongTheProcessRanBefore) {
  const std::vector<Event> events = {{kFirstUs + kSecond, "steady", 2000},
                                     {kFirstUs + 12 * kSecond, "steady", 2000},
                                     {kFirstUs + 300 * kSecond, "steady", 2000},
                                     {kFirstUs + 301 * kSecond, "steady", 1}};
  app::AppFile file = watched_app();
  file.decisions[0].alert->for_us = 0;
  Processes processes(root_, file);
  while (processes.clock.wall_us() <= kFirstUs + 301 * kSecond) processes.second(events);
  ASSERT_EQ(processes.open_alerts(), 1u);
  processes.restart(2 * kSecond);
  int64_t ran_s = 0;
  for (; processes.open_alerts() > 0 && ran_s < 60; ++ran_s) processes.second(events);
  EXPECT_LE(ran_s, 13) << "as without the restart";
  EXPECT_GE(ran_s, 11) << "time away is no silence";
}

TEST_F(AlertRestart, SilenceIsCountedOnThroughManyRestarts) {
  const std::vector<Event> events = {{kFirstUs + kSecond, "steady", 2000},
                                     {kFirstUs + 2 * kSecond, "steady", 1}};
  app::AppFile file = watched_app();
  file.decisions[0].alert->for_us = 0;
  Processes processes(root_, file);
  while (processes.clock.wall_us() <= kFirstUs + 2 * kSecond) processes.second(events);
  ASSERT_EQ(processes.open_alerts(), 1u);
  int64_t ran_s = 0;
  for (; processes.open_alerts() > 0 && ran_s < 60; ++ran_s) {
    processes.second(events);
    if (ran_s % 4 == 3) processes.restart(3'600 * kSecond);
  }
  EXPECT_LE(ran_s, 12 + 12 / 3 + 1) << "each kill may cost a second of it";
}

TEST_F(AlertRestart, AClockThatWasSetBackWhileTheProgramWasAwayFreezesNoAlert) {
  std::vector<Event> events;
  for (int64_t second = 1; second <= 20; ++second)
    events.push_back({kFirstUs + second * kSecond, "steady", 2000});
  app::AppFile file = watched_app();
  file.sources[0].allowed_lateness_us = 7'200 * kSecond;
  Processes processes(root_, file);
  while (processes.clock.wall_us() <= kFirstUs + 20 * kSecond) processes.second(events);
  ASSERT_EQ(processes.open_alerts(), 1u);
  processes.clock.set_wall_us(kFirstUs - 3'000 * kSecond);
  for (int64_t second = 1; second <= 20; ++second)
    events.push_back({processes.clock.wall_us() + second * kSecond, "steady", 1});
  processes.restart(kSecond);
  for (int64_t second = 0; second < 22; ++second) processes.second(events);
  EXPECT_EQ(processes.open_alerts(), 0u) << "its events follow the clock and are in order";
}

class HealRestart : public AlertRestart {
 protected:
  static app::AppFile healed_app(bool command, int64_t recover_within_us) {
    app::AppFile file = watched_app();
    file.decisions[0].alert->for_us = 0;
    file.healing.enabled = true;
    file.healing.commands = {{{"nothing", {14, 3}}, {"/bin/true", "{key}"}}};
    app::Heal heal;
    heal.name = {"ease", {13, 3}};
    if (command)
      heal.action = app::CommandAction{{"nothing", {13, 3}}, kSecond};
    else
      heal.action = app::Webhook{schema::Secret::open("http://127.0.0.1:1/x"), {}, kSecond, {}};
    heal.recover_within_us = recover_within_us;
    heal.limit_count = 2;
    heal.limit_per_us = 90 * kSecond;
    file.decisions[0].heal.push_back(heal);
    return file;
  }
  std::vector<std::string> steps() {
    std::vector<std::string> found;
    for (const auto& [kind, body] : journal_of(*open_store()))
      if (kind.starts_with("action_")) found.push_back(body.value("outcome", kind));
    return found;
  }
};

TEST_F(HealRestart, TheTimeOfARemedyGoesOnWhereItWas) {
  std::vector<Event> events;
  for (int64_t second = 1; second <= 400; ++second)
    events.push_back({kFirstUs + second * kSecond, "steady", 2000});
  Processes processes(root_, healed_app(/*command=*/false, 30 * kSecond));
  for (int64_t second = 0; second < 140; ++second) {
    processes.second(events);
    if (second % 9 == 8) processes.restart(0);
  }
  processes.end();
  // A third one within the first 90 s would be over the limit.
  EXPECT_EQ(steps(), (std::vector<std::string>{"action_started", "not_recovered", "action_started",
                                               "not_recovered", "action_skipped"}));
}

TEST_F(HealRestart, ACommandThatWaitedRunsWhenItsAlertIsStillOpen) {
  for (const bool resolves : {false, true}) {
    std::filesystem::remove_all(root_);
    std::vector<Event> events = {{kFirstUs + kSecond, "steady", 2000}};
    for (int64_t second = 100; second < 115; ++second)
      events.push_back({kFirstUs + second * kSecond, "steady", resolves ? 1.0 : 2000.0});
    Processes processes(root_, healed_app(/*command=*/true, 600 * kSecond));
    for (int64_t second = 0; second < 3; ++second) processes.second(events);
    processes.restart(200 * kSecond);  // its command is durable and has not begun
    processes.tick(/*behind=*/true);
    processes.commit();
    processes.second(events);
    processes.end();
    const auto told = steps();
    if (resolves)
      EXPECT_EQ(told, (std::vector<std::string>{"action_started", "recovered", "action_skipped"}));
    else
      EXPECT_EQ(told, std::vector<std::string>{"action_started"});
    size_t jobs = 0;
    ASSERT_TRUE(
        open_store()->scan_meta("heal_job/", [&](auto, auto) { return ++jobs, true; }).ok());
    EXPECT_EQ(jobs, resolves ? 0u : 1u) << "it waits for its turn";
  }
}

}  // namespace
}  // namespace qw::test
