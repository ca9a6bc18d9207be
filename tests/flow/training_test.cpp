// Aim: what an application remembers becomes a better version, or a refusal that says why. Method:
// generated metrics with known spikes, labelled as the page and the demo label them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/runtime/training_run.h"
#include "flow_run.h"
#include "models/package.h"

namespace qw::test {
namespace {

constexpr int64_t kSecond = 1'000'000;

class TrainingTest : public FlowTest {
 protected:
  // Each of 10 series is far off in its last 5 of every 250 seconds.
  static GeneratedOptions spiky() {
    GeneratedOptions generated;
    generated.events = 20'000;
    generated.spike_every = 250;
    return generated;
  }
  static app::AppFile app_with_threshold(double threshold) {
    app::AppFile file = flow_app();
    file.models[0].settings = {{{"threshold", {9, 9}}, threshold, {9, 9}}};
    return file;
  }
  static app::TrainingWish wish(const app::Plan& plan) {
    app::TrainingWish made = app::training_wish(plan, 0);
    made.run_id = "run-1";
    made.trigger = "command";
    made.trials = 4;
    made.seconds_max = 3600;
    return made;
  }

  void write(const std::vector<JournalLine>& lines) {
    const auto store = open_store();
    Seq last = store->last_seq(store::Log::kJournal, store::kJournalPartition).value();
    store::Txn txn;
    for (const auto& [kind, body] : lines) {
      std::string bytes;
      schema::encode_journal({kind, 1, body.dump()}, bytes);
      txn.append(store::Log::kJournal, store::kJournalPartition, last = next(last), bytes);
    }
    ASSERT_TRUE(store->commit(txn, store::Durability::kProcess).ok());
  }

  static JournalLine verdict(const std::string& alert_id, bool real, const std::string& note) {
    return {"verdict", store::json_of(store::VerdictBody{alert_id, real, note})};
  }
  static JournalLine incident(int64_t number, int64_t at_s, const std::string& state) {
    store::IncidentBody record;
    record.id = "inc-" + std::to_string(number);
    record.load = "cpu";
    record.state = state;
    record.started_us = GeneratedOptions().first_us + at_s * kSecond;
    record.ends_us = record.started_us + (state == "running" ? 60 : 8) * kSecond;
    const bool begins = state == "running";
    return {std::string(begins ? store::IncidentBody::kStarted : store::IncidentBody::kEnded),
            store::json_of(record)};
  }
};

TEST_F(TrainingTest, IncidentsTeachABetterVersion) {
  const auto plan = plan_of(app_with_threshold(80));  // sees nothing
  run(plan, spiky());
  std::vector<JournalLine> told;
  for (int64_t spike = 0; spike < 8; ++spike) {
    told.push_back(incident(spike, 243 + spike * 250, "running"));
    told.push_back(incident(spike, 243 + spike * 250, "ended"));
  }
  write(told);
  const auto store = open_store();
  const auto counts = app::read_label_counts(*store, *plan, 0, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->real, 8u);
  const auto registry = models::Registry::open(root_).value();
  const auto report =
      app::run_training(store.get(), *registry, *plan, wish(*plan), real_clock(), {}, {});
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  EXPECT_TRUE(report->outcome.accepted) << report->outcome.refusal;
  EXPECT_EQ(report->outcome.champion_held_out.score, 0);
  EXPECT_EQ(report->outcome.held_out.found, report->outcome.held_out.labels);
  EXPECT_EQ(report->champion, 0);
  const auto stored = registry->version("anomaly", 1);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->state, models::VersionState::kPublished);
  const auto package = models::read_package(root_ + "/" + stored->folder);
  ASSERT_TRUE(package.ok()) << package.error().to_string();
  const auto lineage = nlohmann::json::parse(package->lineage);
  EXPECT_EQ(lineage["labels"], 8);
  EXPECT_EQ(lineage["labels_from"], "incidents");
  EXPECT_EQ(lineage["parent"], "0");
  EXPECT_EQ(lineage["data_from_us"], GeneratedOptions().first_us);
  EXPECT_EQ(lineage["data_to_us"], GeneratedOptions().first_us + 2000 * kSecond);
  EXPECT_EQ(package->inputs, schema::Schema({{"value", schema::kDouble}}));
  EXPECT_GT(nlohmann::json::parse(package->metrics)["held_out"].get<double>(), 50);
}

TEST_F(TrainingTest, VerdictsLabelTheirAlertsSeries) {
  const auto plan = plan_of(flow_app());
  run(plan, spiky());
  std::vector<nlohmann::json> fired;
  std::vector<JournalLine> told;
  for (const auto& [kind, body] : journal_of(*open_store()))
    if (kind == "alert_fired") fired.push_back(body);
  ASSERT_GT(fired.size(), 5u);
  for (size_t at = 0; at < 5; ++at)
    told.push_back(verdict(fired[at]["id"], at != 3, "looked at it"));
  told.push_back(verdict(fired[0]["id"], false, ""));  // the last
  told.push_back(verdict("nobody knows it", true, ""));
  write(told);
  const auto store = open_store();
  const auto history = app::read_history(*store, *plan, 0, {});
  ASSERT_TRUE(history.ok()) << history.error().to_string();
  EXPECT_EQ(history->series.size(), 10u);
  ASSERT_EQ(history->labels.size(), 5u);
  for (const train::Label& label : history->labels) {
    const auto alert = std::find_if(fired.begin(), fired.end(),
                                    [&](const auto& one) { return one["id"] == label.id; });
    ASSERT_NE(alert, fired.end());
    ASSERT_TRUE(label.series);
    const auto key = alert->at("key").get<std::string>();
    EXPECT_TRUE(history->series[*label.series].name.ends_with("/" + key));
    EXPECT_EQ(label.first_us, alert->at("began_us").get<int64_t>() - app::kLabelLeadUs);
    EXPECT_GT(label.last_us, label.first_us);
    EXPECT_EQ(label.real, label.id != fired[3]["id"] && label.id != fired[0]["id"]);
  }
  app::TrainingSources none;
  none.verdicts = false;
  EXPECT_EQ(app::read_label_counts(*store, *plan, 0, none)->total, 0u);
}

TEST_F(TrainingTest, TooFewLabelsPublishNothing) {
  const auto plan = plan_of(app_with_threshold(80));
  run(plan, spiky());
  write({incident(1, 243, "ended"), incident(2, 493, "ended"), incident(3, 743, "failed"),
         incident(4, 993, "ended")});
  const auto store = open_store();
  const auto registry = models::Registry::open(root_).value();
  const auto refused =
      app::run_training(store.get(), *registry, *plan, wish(*plan), real_clock(), {}, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("there are 3 labels; 5 are needed"), std::string::npos);
  EXPECT_TRUE(registry->versions("anomaly").value().empty());
}

// The program ended in the middle of three runs, as the journal tells it: none of them made a
// version, and what drift had asked for is asked for again, once.
TEST_F(TrainingTest, RunsOfBeforeAreKnownAfterARestart) {
  const auto plan = plan_of(app_with_threshold(80));
  run(plan, spiky());
  const auto line = [](const std::string& id, const std::string& trigger, const std::string& state,
                       bool again = false) -> JournalLine {
    return {"training",
            {{"run_id", id},
             {"model", "anomaly"},
             {"trigger", trigger},
             {"reason", "because"},
             {"phase", state == "running" ? "started" : "finished"},
             {"state", state},
             {"started_us", 5},
             {"version", "7"},
             {"best", 61.5},
             {"again", again}}};
  };
  const auto runs_after_a_start = [&](size_t count) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(spiky()));
    };
    MetricRegistry metrics;
    auto runtime = app::Runtime::start(plan, options, real_clock(), metrics, nullptr).value();
    wait_until("the runs of before", [&] {
      const auto runs = runtime->trainer().runs("anomaly");
      return runs.size() == count && runs.front().ended_us > 0;
    });
    const auto runs = runtime->trainer().runs("anomaly");
    runtime->stop();
    std::vector<std::string> told;
    for (const app::TrainingStatus& one : runs)
      told.push_back(fmt::format("{} {} {}{}", one.trigger, one.state, one.message.substr(0, 17),
                                 one.again ? " again" : ""));
    return told;
  };
  write({line("run-1", "person", "running"), line("run-1", "person", "published"),
         line("run-2", "person", "running")});
  using Told = std::vector<std::string>;
  EXPECT_EQ(runs_after_a_start(2), (Told{"person failed the program ended", "person published "}))
      << "a person sees that it failed, and asks anew";

  write({line("run-3", "drift", "running")});
  const Told again = {"drift refused there are 0 label again", "drift failed the program ended",
                      "person failed the program ended", "person published "};
  EXPECT_EQ(runs_after_a_start(4), again);
  EXPECT_EQ(runs_after_a_start(4), again) << "it was asked for again already";

  write({line("run-4", "drift", "running", true)});
  const auto last = runs_after_a_start(5);
  EXPECT_EQ(last.front(), "drift failed the program ended again") << "not for ever";
}

// The program ended after it had made a version and before the journal said so.
TEST_F(TrainingTest, ARunWhoseVersionIsThereHasNotFailed) {
  const auto plan = plan_of(app_with_threshold(80));
  run(plan, spiky());
  std::vector<JournalLine> told;
  for (int64_t spike = 0; spike < 8; ++spike)
    told.push_back(incident(spike, 243 + spike * 250, "ended"));
  told.push_back({"training",
                  {{"run_id", "run-1"},
                   {"model", "anomaly"},
                   {"trigger", "drift"},
                   {"reason", "because"},
                   {"phase", "started"},
                   {"state", "queued"},
                   {"started_us", 5},
                   {"again", false}}});
  write(told);
  {
    const auto store = open_store();
    const auto registry = models::Registry::open(root_).value();
    ASSERT_TRUE(
        app::run_training(store.get(), *registry, *plan, wish(*plan), real_clock(), {}, {}).ok());
  }
  for (int start = 0; start < 2; ++start) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(spiky()));
    };
    MetricRegistry metrics;
    auto runtime = app::Runtime::start(plan, options, real_clock(), metrics, nullptr).value();
    wait_until("the run of before", [&] { return !runtime->trainer().runs("anomaly").empty(); });
    const auto runs = runtime->trainer().runs("anomaly");
    ASSERT_EQ(runs.size(), 1u) << "it is not made again";
    EXPECT_EQ(runs[0].state, "published") << runs[0].message;
    EXPECT_EQ(runs[0].version, 1);
    runtime->stop();
  }
  std::vector<std::string> phases;
  for (const auto& [kind, body] : journal_of(*open_store()))
    if ((kind == "model" && body["phase"] == "published") || kind == "training")
      phases.push_back(fmt::format("{} {}", kind, body["phase"].get<std::string>()));
  EXPECT_EQ(phases,
            (std::vector<std::string>{"training started", "model published", "training finished"}));
}

// Between the wish and its first trial the program may end: the wish is in the journal before
// whoever asked forgets it.
TEST_F(TrainingTest, AWishIsDurableBeforeItIsForgotten) {
  const auto plan = plan_of(app_with_threshold(80));
  run(plan, spiky());
  {
    const auto store = open_store();
    MetricRegistry metrics;
    store::Committer committer(*store, real_clock(), metrics, {});
    ASSERT_TRUE(committer.open().ok());
    store::Journal journal(real_clock());
    app::Trainer trainer(plan, *store, root_, committer.lane("training"), journal, real_clock(), {},
                         [] {});
    bool durable = false;
    ASSERT_TRUE(trainer.request("anomaly", "drift", "it drifts", "", [&] { durable = true; }).ok());
    EXPECT_FALSE(durable);
    ASSERT_TRUE(committer.step().ok());
    EXPECT_TRUE(durable);
  }
  const auto lines = journal_of(*open_store());
  EXPECT_EQ(lines.back().first, "training");
  EXPECT_EQ(lines.back().second["trigger"], "drift");
}

TEST_F(TrainingTest, ManySeriesAreReadWithinALimit) {
  const auto plan = plan_of(flow_app());
  run(plan, spiky());
  std::string judged;
  for (const auto& [kind, body] : journal_of(*open_store()))
    if (kind == "alert_fired") judged = body["id"];
  write({verdict(judged, true, "")});
  app::TrainingSources sources;
  sources.rows_max = 4'500;
  const auto store = open_store();
  auto history = app::read_history(*store, *plan, 0, sources);
  ASSERT_TRUE(history.ok());
  EXPECT_EQ(history->series.size(), 2u);
  for (const auto& series : history->series) EXPECT_EQ(series.rows.size(), 2000u);
  sources.rows_max = 1'500;
  history = app::read_history(*store, *plan, 0, sources);
  ASSERT_EQ(history->series.size(), 1u);
  EXPECT_EQ(history->series[0].rows.size(), 1500u);
  EXPECT_EQ(history->series[0].rows.back().event_time_us,
            GeneratedOptions().first_us + 1999 * kSecond);
}

}  // namespace
}  // namespace qw::test
