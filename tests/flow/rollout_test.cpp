// Aim: a new version takes over between two events with exactly the state it would have had, and
// no event is lost, decided twice, or decided by a version that it does not name. Method: a source
// that goes on until it sees the swap, and an oracle that runs both versions over everything that
// was decided.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "app/runtime/training_run.h"
#include "endless_source.h"
#include "flow_run.h"
#include "models/engines/builtin.h"
#include "models/load.h"
#include "train/publish.h"

namespace qw::test {
namespace {

constexpr const char* kModel = "anomaly";

class RolloutTest : public FlowTest {
 protected:
  // Settings that differ from the shipped ones in every score.
  static models::Settings other_settings(double rate) {
    return {{"threshold", 5}, {"activity.rate", rate}, {"seasonal.weight", 0.9}};
  }

  int64_t publish(double rate, int64_t parent, const std::string& then = "swap") {
    const auto registry = models::Registry::open(root_).value();
    models::Package package;
    package.model = kModel;
    package.kind = "ensemble";
    package.created_us = 1;
    package.settings =
        models::make_detector("ensemble", other_settings(rate)).value()->settings_json();
    const train::Lineage lineage{"run-1", "command", "", parent, 9, "nab", 1, 2, "d", 1, 3, then};
    const auto published = train::publish(*registry, package, lineage, "");
    EXPECT_TRUE(published.ok());
    return published->version;
  }

  models::VersionState state_of(int64_t version) {
    return models::Registry::open(root_).value()->version(kModel, version)->state;
  }

  struct Running {
    std::atomic<bool> enough{false};
    MetricRegistry metrics;
    std::unique_ptr<app::Runtime> runtime;
  };
  using Before = std::function<Result<void>(std::string_view step)>;
  // Starts with events that only end after finish().
  std::unique_ptr<Running> start(uint64_t spike_every = 1000,
                                 std::vector<app::ModelSetting> settings = {}, Before before = {},
                                 bool twice = false) {
    auto running = std::make_unique<Running>();
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.rollout.poll_us = 1000;
    options.rollout.before = std::move(before);
    options.make_source = [this_ = running.get(),
                           spike_every](size_t) -> Result<std::unique_ptr<streams::Source>> {
      GeneratedOptions generated;
      generated.batch_rows = spike_every < 1000 ? 40 : 20;
      generated.spike_every = spike_every;
      return std::unique_ptr<streams::Source>(
          std::make_unique<EndlessSource>(generated, this_->enough, 20));
    };
    app::AppFile file = flow_app();
    file.models[0].settings = std::move(settings);
    app::Training training;
    training.name = {"now", {12, 3}};
    training.model = {kModel, {12, 3}};
    training.label_incidents = true;
    training.labels_at_least = 5;
    // The champion's settings with the best threshold: the same whatever the run's own seed.
    training.search_trials = 1;
    training.search_seconds = 3600;
    training.held_out = 0.3;
    file.training.push_back(training);
    if (twice) {
      file.decisions.push_back(file.decisions.front());
      file.decisions.back().name = {"again", {13, 3}};
    }
    auto runtime =
        app::Runtime::start(plan_of(file), options, real_clock(), running->metrics, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    running->runtime = std::move(runtime).value();
    return running;
  }
  void finish(Running& running) {
    // A version may be refused or swapped in before the first event has come.
    wait_until("a decision", [&] {
      return running.runtime->failure() ||
             running.runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
                 Seq{0};
    });
    running.enough = true;
    wait_until("the end",
               [&] { return running.runtime->finished() || running.runtime->failure(); });
    EXPECT_FALSE(running.runtime->failure());
    running.runtime->stop();
    running.runtime.reset();
  }

  // Every decision, in order, against each version's own run over all that came before.
  void check_decisions(size_t versions_least, size_t versions_most) {
    const auto store = open_store();
    const auto registry = models::Registry::open(root_).value();
    std::map<std::string, std::shared_ptr<const models::LearningEngine>> engines;
    std::map<std::pair<std::string, std::string>, std::vector<uint64_t>> states;
    engines["anomaly@0"] = models::make_detector("ensemble").value();
    const auto published = registry->versions(kModel);
    for (const auto& info : *published)
      if (auto engine = models::load_engine(*registry, kModel, info.version); engine.ok())
        engines[fmt::format("anomaly@{}", info.version)] = std::move(engine).value();
    uint64_t events = 0;
    std::vector<std::string> served;
    ASSERT_TRUE(store
                    ->scan(store::Log::kDecisions, PartitionId{2}, Seq{0}, Seq{~0ull},
                           [&](Seq seq, std::string_view bytes) {
                             const auto record = schema::decode_decision(bytes).value();
                             EXPECT_EQ(seq.value(), ++events) << "an event without a decision";
                             if (served.empty() || served.back() != record.served_by())
                               served.push_back(record.served_by());
                             for (const auto& [name, engine] : engines) {
                               auto& state = states[{name, record.key}];
                               const bool fresh = state.empty();
                               state.resize((engine->state_bytes() + 7) / 8);
                               const std::span bytes_of(reinterpret_cast<std::byte*>(state.data()),
                                                        engine->state_bytes());
                               if (fresh) engine->init(bytes_of);
                               const auto score = engine->update_and_score(
                                   serve::observation_of(record), bytes_of);
                               if (name == record.served_by()) {
                                 EXPECT_EQ(score.score, record.score) << "event " << events;
                                 EXPECT_EQ(score.warm, record.warm) << "event " << events;
                               }
                             }
                             return !::testing::Test::HasFailure();
                           })
                    .ok());
    EXPECT_GE(served.size(), versions_least);
    EXPECT_LE(served.size(), versions_most);
    EXPECT_EQ(store->last_seq(store::Log::kEvents, PartitionId{1}).value().value(), events);
  }

  std::vector<std::string> phases() {
    std::vector<std::string> all;
    for (const auto& [kind, body] : journal_of(*open_store()))
      if (kind == "model")
        all.push_back(body["phase"].get<std::string>() + body["version"].get<std::string>());
    return all;
  }
};

TEST_F(RolloutTest, ANewVersionTakesOverExactlyWhileEventsGoOn) {
  auto running = start();
  wait_until("some history", [&] {
    return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
           Seq{1500};
  });
  ASSERT_EQ(publish(0.05, 0), 1);
  wait_until("the swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  ASSERT_EQ(publish(0.1, 1), 2);
  wait_until("the next swap", [&] { return state_of(2) == models::VersionState::kChampion; });
  finish(*running);
  check_decisions(3, 3);
  EXPECT_EQ(phases(), (std::vector<std::string>{"warming1", "warmed1", "swapped1", "warming2",
                                                "warmed2", "swapped2"}));
  EXPECT_EQ(state_of(1), models::VersionState::kPrevious);

  // The new version serves after a restart, and only its states are kept.
  running = start();
  finish(*running);
  check_decisions(3, 3);
  const auto store = open_store();
  size_t old = 0;
  for (const char* owner : {"model/unusual/anomaly@0", "model/unusual/anomaly@1"})
    ASSERT_TRUE(
        store
            ->scan_states(owner, PartitionId{2}, [&](std::string_view, Seq) { return ++old, true; })
            .ok());
  EXPECT_EQ(old, 0u);
}

// What is installed is written with each event: nobody else may warm it up.
TEST_F(RolloutTest, AVersionThatTheRegistryCannotNoteIsWarmedOnceAndServes) {
  std::atomic<app::Runtime*> runtime{nullptr};
  std::atomic<int> refused{0}, second_writers{0};
  const Before before = [&](std::string_view step) -> Result<void> {
    if (step == "warming" && runtime != nullptr &&
        runtime.load()->between_events([](app::Pipeline& pipeline, store::PendingCommit&) {
          return pipeline.slot(0).challenger() != nullptr;
        }))
      ++second_writers;
    if (step != "warmed" || refused++ > 2) return {};
    return Error{ErrorCode::kUnavailable, "the registry is locked", "", ""};
  };
  auto running = start(1000, {}, before);
  runtime = running->runtime.get();
  wait_until("some history", [&] {
    return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
           Seq{500};
  });
  ASSERT_EQ(publish(0.05, 0), 1);
  wait_until("the swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  finish(*running);
  check_decisions(2, 2);
  EXPECT_EQ(second_writers, 0);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(phases(), (std::vector<std::string>{"warming1", "swapped1"}));
}

TEST_F(RolloutTest, AVersionIsInstalledForEveryDecisionOrForNone) {
  for (const bool for_good : {false, true}) {
    std::filesystem::remove_all(root_);
    std::atomic<app::Runtime*> runtime{nullptr};
    std::atomic<int> finishes{0}, torn{0};
    const Before before = [&](std::string_view step) -> Result<void> {
      if (step != "finish") return {};
      // Called under the pipeline's lane.
      torn += runtime.load()->pipeline().slot(0).challenger() != nullptr;
      if (++finishes % 2 == 1 || (!for_good && finishes > 4)) return {};
      return Error{ErrorCode::kExhausted, "more was decided than could be put aside", "", ""};
    };
    auto running = start(1000, {}, before, /*twice=*/true);
    runtime = running->runtime.get();
    wait_until("some history", [&] {
      return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
             Seq{500};
    });
    ASSERT_EQ(publish(0.05, 0), 1);
    const auto end = for_good ? models::VersionState::kFailed : models::VersionState::kChampion;
    wait_until("its end", [&] { return state_of(1) == end; });
    finish(*running);
    check_decisions(for_good ? 1 : 2, for_good ? 1 : 2);
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(finishes, for_good ? 10 : 6) << "each try finishes both, or begins anew";
    size_t left = 0;
    ASSERT_TRUE(open_store()
                    ->scan_states("model/unusual/anomaly@1", PartitionId{2},
                                  [&](std::string_view, Seq) { return ++left, true; })
                    .ok());
    EXPECT_EQ(left > 0, !for_good) << "nothing of a version that will not serve is left";
  }
}

TEST_F(RolloutTest, AVersionComparedWithAnotherChampionIsRefused) {
  ASSERT_EQ(publish(0.05, 0), 1);
  ASSERT_EQ(publish(0.1, 0, "publish"), 2);
  ASSERT_EQ(publish(0.2, 7), 3);
  auto running = start();
  wait_until("the refusal", [&] { return state_of(3) == models::VersionState::kRefused; });
  wait_until("the swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  finish(*running);
  EXPECT_EQ(state_of(2), models::VersionState::kPublished) << "published only";
  check_decisions(1, 2);  // the swap may come before the first event
}

TEST_F(RolloutTest, AVersionThatCannotBeLoadedFailsAndNothingElse) {
  ASSERT_EQ(publish(0.05, 0), 1);
  std::filesystem::remove(root_ + "/models/anomaly/1/settings.json");
  auto running = start();
  wait_until("the failure", [&] { return state_of(1) == models::VersionState::kFailed; });
  finish(*running);
  check_decisions(1, 1);
}

// A person puts the version before back, twice: each is warmed up like any version, decides exactly
// as if it had served from the beginning, and serves after a restart.
TEST_F(RolloutTest, TheVersionBeforeIsPutBackExactly) {
  auto running = start();
  const auto decided = [&] {
    return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value();
  };
  wait_until("some history", [&] { return decided() > Seq{1000}; });
  EXPECT_EQ(running->runtime->roll_back("", "nothing to leave").error().code, ErrorCode::kConflict);
  ASSERT_EQ(publish(0.05, 0), 1);
  wait_until("a swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  ASSERT_EQ(publish(0.1, 1), 2);
  wait_until("the next swap", [&] { return state_of(2) == models::VersionState::kChampion; });
  const Seq before = decided();
  wait_until("decisions by it", [&] { return decided() > before; });

  finish(*running);

  // Asked for while the program is down, with a version waiting that was compared with the one to
  // be left: it must not come in between.
  const auto plan = plan_of(flow_app());
  const auto registry = models::Registry::open(root_).value();
  const auto asked = serve::ask_rollback(plan->models[0], *registry, "too many alarms", 1);
  ASSERT_TRUE(asked.ok()) << asked.error().to_string();
  EXPECT_EQ(asked->from, 2);
  EXPECT_EQ(asked->to, 1);
  ASSERT_EQ(publish(0.2, 2), 3);
  running = start();
  wait_until("version 1 again", [&] { return state_of(1) == models::VersionState::kChampion; });
  wait_until("its refusal", [&] { return state_of(3) == models::VersionState::kRefused; });
  const auto left = registry->version(kModel, 2).value();
  EXPECT_EQ(left.state, models::VersionState::kPrevious);
  EXPECT_EQ(left.reason, "too many alarms");
  finish(*running);
  check_decisions(3, 4);  // version 1 may be back before the first event

  running = start();
  ASSERT_TRUE(running->runtime->roll_back(kModel, "").ok());
  wait_until("version 0", [&] { return state_of(1) == models::VersionState::kPrevious; });
  EXPECT_FALSE(registry->alias(kModel, "champion").value());
  EXPECT_EQ(running->runtime->roll_back(kModel, "").error().code, ErrorCode::kConflict);
  finish(*running);
  EXPECT_EQ(phases(),
            (std::vector<std::string>{"warming1", "warmed1", "swapped1", "warming2", "warmed2",
                                      "swapped2", "warming1", "warmed1", "rolled_back2", "refused3",
                                      "warming0", "warmed0", "rolled_back1"}));
  running = start();
  finish(*running);
  check_decisions(4, 5);
}

// What cannot come back leaves the version that serves in its place.
TEST_F(RolloutTest, ARollbackToWhatIsBrokenChangesNothing) {
  auto running = start();
  ASSERT_EQ(publish(0.05, 0), 1);
  wait_until("a swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  ASSERT_EQ(publish(0.1, 1), 2);
  wait_until("the next swap", [&] { return state_of(2) == models::VersionState::kChampion; });
  std::filesystem::remove(root_ + "/models/anomaly/1/settings.json");
  ASSERT_TRUE(running->runtime->roll_back(kModel, "too many alarms").ok());
  wait_until("the failure", [&] {
    const auto info = models::Registry::open(root_).value()->version(kModel, 2).value();
    return info.state == models::VersionState::kChampion &&
           info.reason.starts_with("not rolled back: ");
  });
  finish(*running);
  EXPECT_EQ(phases().back(), "failed1");
  EXPECT_EQ(state_of(1), models::VersionState::kPrevious);
}

// The whole loop in one process: asked, trained beside the events, published, warmed, swapped.
TEST_F(RolloutTest, ATrainingOfTheRunningProgramTakesOver) {
  auto running = start(300, {{{"threshold", {9, 9}}, 80.0, {9, 9}}});
  app::Trainer& trainer = running->runtime->trainer();
  const auto state = [&] { return trainer.runs(kModel).front().state; };
  ASSERT_TRUE(trainer.request(kModel, "person", "asked in a test").ok());
  wait_until("the refusal", [&] { return state() == "refused"; });
  EXPECT_NE(trainer.runs(kModel).front().message.find("0 labels; 5 are needed"), std::string::npos);
  wait_until("six spikes", [&] {
    return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
           Seq{19'000};
  });
  for (int64_t spike = 0; spike < 6; ++spike) {
    store::IncidentBody incident;
    incident.kind = store::IncidentBody::kEnded;
    incident.id = "inc-" + std::to_string(spike);
    incident.state = "ended";
    incident.started_us = GeneratedOptions().first_us + (293 + spike * 300) * int64_t{1'000'000};
    incident.ends_us = incident.started_us + 8'000'000;
    running->runtime->note(incident);
  }
  wait_until("the labels", [&] { return trainer.labels(kModel)->counts.real == 6; });
  wait_until("a free trainer", [&] { return trainer.request(kModel, "drift", "it drifts").ok(); });
  wait_until("the training", [&] { return state() != "queued" && state() != "running"; });
  EXPECT_EQ(state(), "published") << trainer.runs(kModel).front().message;
  wait_until("the swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  finish(*running);
  const auto lines = journal_of(*open_store());
  std::vector<std::string> trainings;
  for (const auto& [kind, body] : lines)
    if (kind == "training") trainings.push_back(body["phase"]);
  EXPECT_EQ(trainings, (std::vector<std::string>{"started", "refused", "started", "finished"}));
  EXPECT_EQ(phases(), (std::vector<std::string>{"published1", "warming1", "warmed1", "swapped1"}));
}

// A stop in the middle of a warm-up: the next start takes it up.
TEST_F(RolloutTest, AWarmUpGoesOnAfterARestart) {
  auto running = start();
  wait_until("some history", [&] {
    return running->runtime->store().last_seq(store::Log::kDecisions, PartitionId{2}).value() >
           Seq{1500};
  });
  ASSERT_EQ(publish(0.05, 0), 1);
  running->runtime->rollout().wake();
  finish(*running);
  running = start();
  wait_until("the swap", [&] { return state_of(1) == models::VersionState::kChampion; });
  finish(*running);
  check_decisions(2, 2);
}

}  // namespace
}  // namespace qw::test
