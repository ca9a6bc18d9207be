// Aim: a model that was made elsewhere serves decisions: imported, warmed on what was decided,
// swapped in between two events, put back, and there again after a restart; one that cannot serve
// says why and changes nothing. Method: linear models over a column and a feature, and every
// decision's score worked out from its record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>

#include "endless_source.h"
#include "flow_run.h"
#include "models/publish.h"

namespace qw::test {
namespace {

using models::VersionState;

constexpr const char* kModel = "anomaly";
constexpr PartitionId kStream{2};

class ScoringModelsTest : public FlowTest {
 protected:
  // Scored by versions of the registry alone.
  static app::AppFile scored_app() {
    app::AppFile file = flow_app();
    file.models[0].detector = {};
    file.models[0].champion = app::VersionRef{kModel, "champion", {9, 3}};
    file.models[0].inputs = {{"value", {9, 3}}, {"metric.mean_1m", {9, 3}}};
    file.decisions[0].output = {
        {{"severity", {11, 3}}, text("case when score > 0 then 'info' end")}};
    file.decisions[0].alert.reset();
    return file;
  }

  // intercept + weight value + 0.5 `other`, brought in to take the place of `replaces`.
  int64_t bring_in(double intercept, int64_t replaces, const std::string& other = "metric.mean_1m",
                   double weight = 2) {
    const std::string folder = root_ + "/made-elsewhere";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/model.json") << fmt::format(
        R"({{"kind": "linear", "inputs": [{{"name": "{}", "type": "double"}},
            {{"name": "value", "type": "double"}}],
            "outputs": [{{"name": "score", "type": "double"}}]}})",
        other);
    std::ofstream(folder + "/weights.json") << fmt::format(
        R"({{"intercept": {}, "weights": {{"value": {}, "{}": 0.5}}, "missing": {{"{}": 0}}}})",
        intercept, weight, other, other);
    const auto registry = models::Registry::open(root_).value();
    const auto info = models::import_package(*registry, kModel, folder, 1, replaces);
    EXPECT_TRUE(info.ok()) << info.error().to_string();
    return info->version;
  }
  models::VersionInfo version(int64_t number) {
    return models::Registry::open(root_).value()->version(kModel, number).value();
  }
  void wait_for_state(int64_t number, VersionState state) {
    wait_until("the version's state", [&] { return version(number).state == state; });
  }

  void start(app::AppFile file = scored_app()) {
    enough_ = false;
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.rollout.poll_us = 1000;
    options.make_source = [this](size_t) -> Result<std::unique_ptr<streams::Source>> {
      GeneratedOptions generated;
      generated.batch_rows = 20;
      return std::unique_ptr<streams::Source>(
          std::make_unique<EndlessSource>(generated, enough_, 20));
    };
    auto runtime =
        app::Runtime::start(plan_of(std::move(file)), options, real_clock(), metrics_, nullptr);
    ASSERT_TRUE(runtime.ok()) << runtime.error().to_string();
    runtime_ = std::move(runtime).value();
  }
  void wait_for_decisions() {
    const auto decided = [&] {
      return runtime_->store().last_seq(store::Log::kDecisions, kStream).value().value();
    };
    const uint64_t now = decided();
    wait_until("some decisions", [&] { return runtime_->failure() || decided() > now + 100; });
  }
  void finish() {
    enough_ = true;
    wait_until("the end", [&] { return runtime_->finished() || runtime_->failure(); });
    EXPECT_FALSE(runtime_->failure());
    runtime_->stop();
    runtime_.reset();
  }

  // Who served, in order; each score is what the model of that version says of the record's inputs.
  std::vector<std::string> served(const std::map<int64_t, double>& intercepts) {
    std::vector<std::string> served;
    const auto check = [&](Seq seq, std::string_view bytes) {
      const auto record = schema::decode_decision(bytes).value();
      if (served.empty() || served.back() != record.served_by())
        served.push_back(record.served_by());
      const auto known = record.version ? intercepts.find(*record.version) : intercepts.end();
      if (known == intercepts.end()) {
        EXPECT_TRUE(std::isnan(record.score)) << "decision " << seq.value();
        EXPECT_FALSE(record.warm);
        return !HasFailure();
      }
      EXPECT_EQ(record.inputs.size(), 2u);
      const auto* mean = std::get_if<double>(&record.inputs[1]);
      const double score = known->second + 0.5 * (mean == nullptr ? 0 : *mean) +
                           2 * std::get<double>(record.inputs[0]);
      EXPECT_EQ(record.score, score) << "decision " << seq.value();
      EXPECT_TRUE(record.warm);
      return !HasFailure();
    };
    EXPECT_TRUE(
        open_store()->scan(store::Log::kDecisions, kStream, Seq{0}, Seq{~0ull}, check).ok());
    return served;
  }

  std::atomic<bool> enough_{false};
  std::unique_ptr<app::Runtime> runtime_;
};

TEST_F(ScoringModelsTest, AreImportedWarmedSwappedAndPutBackWhileEventsGoOn) {
  start();
  wait_for_decisions();
  ASSERT_EQ(bring_in(1, 0), 1);
  wait_for_state(1, VersionState::kChampion);
  wait_for_decisions();
  EXPECT_EQ(runtime_->roll_back("", "to nothing").error().code, ErrorCode::kConflict);
  ASSERT_EQ(bring_in(-1000, 1), 2);
  wait_for_state(2, VersionState::kChampion);
  wait_for_decisions();
  ASSERT_TRUE(runtime_->roll_back("", "worse").ok());
  wait_for_state(1, VersionState::kChampion);
  wait_for_decisions();
  finish();
  start();
  wait_for_decisions();
  finish();
  EXPECT_EQ(served({{1, 1}, {2, -1000}}),
            (std::vector<std::string>{"anomaly", "anomaly@1", "anomaly@2", "anomaly@1"}));
}

TEST_F(ScoringModelsTest, AVersionThatIsNotOfferedItsInputsFailsAndChangesNothing) {
  start();
  ASSERT_EQ(bring_in(1, 0), 1);
  wait_for_state(1, VersionState::kChampion);
  ASSERT_EQ(bring_in(2, 1, "metric.mean_2m"), 2);
  wait_for_state(2, VersionState::kFailed);
  EXPECT_THAT(version(2).reason, testing::HasSubstr("metric.mean_2m"));
  wait_for_decisions();
  finish();
  EXPECT_EQ(served({{1, 1}}).back(), "anomaly@1");
}

// A version whose scores are no numbers says nothing of a series: neither that it is well.
TEST_F(ScoringModelsTest, WithoutAScoreAnAlertIsNotOver) {
  app::AppFile file = scored_app();
  file.decisions[0].alert = flow_app().decisions[0].alert;
  start(std::move(file));
  ASSERT_EQ(bring_in(1, 0), 1);
  wait_for_state(1, VersionState::kChampion);
  wait_until("the alerts", [&] {
    const auto journal = journal_of(runtime_->store());
    return std::ranges::count(journal, "alert_fired", &JournalLine::first) == 10;
  });
  ASSERT_EQ(bring_in(0, 1, "metric.mean_1m", -1e307), 2);  // of about 50 it makes no number
  wait_for_state(2, VersionState::kChampion);
  for (int round = 0; round < 5; ++round) wait_for_decisions();
  finish();
  for (const auto& [kind, body] : journal_of(*open_store())) EXPECT_NE(kind, "alert_resolved");
}

TEST_F(ScoringModelsTest, ADetectorsPlaceIsNotTakenByOneThatDoesNotLearn) {
  start(flow_app());
  ASSERT_EQ(bring_in(1, 0), 1);
  wait_for_state(1, VersionState::kFailed);
  EXPECT_THAT(version(1).reason, testing::HasSubstr("does not learn while it scores"));
  wait_for_decisions();
  finish();
}

}  // namespace
}  // namespace qw::test
