// Aim: the loop runs from event to alert, stops, and goes on where it was; a restart changes no
// decision.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "app/runtime/runtime.h"
#include "flow_app.h"

namespace qw::test {
namespace {

namespace fs = std::filesystem;

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / ("qw_loop_" + std::to_string(::getpid()))).string();
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // Runs until `events` of the source are durable, then stops cleanly.
  void run(const std::string& folder, uint64_t events) {
    GeneratedOptions generated;
    generated.events = events;
    app::RuntimeOptions options;
    options.data_folder = folder;
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    MetricRegistry metrics;
    auto plan = app::compile_plan(flow_app());
    ASSERT_TRUE(plan.ok()) << plan.error().to_string();
    auto runtime = app::Runtime::start(*plan, options, real_clock(), metrics, nullptr);
    ASSERT_TRUE(runtime.ok()) << runtime.error().to_string();
    for (int waited = 0; !runtime.value()->finished() && !runtime.value()->failure(); ++waited) {
      ASSERT_LT(waited, 60'000) << "the loop does not finish";
      real_clock().sleep_us(1000);
    }
    EXPECT_FALSE(runtime.value()->failure()) << runtime.value()->failure()->to_string();
    runtime.value()->stop();
  }

  struct Logs {
    std::map<uint64_t, schema::DecisionRecord> decisions;
    std::vector<std::pair<std::string, std::string>> journal;
  };
  Logs read(const std::string& folder) {
    MetricRegistry metrics;
    store::StoreOptions options;
    options.folder = folder;
    auto store = store::Store::open(options, metrics).value();
    Logs logs;
    for (uint32_t stream = 1; stream <= 2; ++stream)
      EXPECT_TRUE(store
                      ->scan(store::Log::kDecisions, PartitionId{stream}, Seq{0}, Seq{~0ull},
                             [&](Seq seq, std::string_view record) {
                               logs.decisions[seq.value()] =
                                   schema::decode_decision(record).value();
                               return true;
                             })
                      .ok());
    EXPECT_TRUE(store
                    ->scan(store::Log::kJournal, store::kJournalPartition, Seq{0}, Seq{~0ull},
                           [&](Seq, std::string_view record) {
                             const auto journal = schema::decode_journal(record).value();
                             logs.journal.emplace_back(journal.kind, journal.json);
                             return true;
                           })
                    .ok());
    return logs;
  }

  std::string root_;
};

TEST_F(LoopTest, EveryEventGetsItsDecisionAndSpikesBecomeAlerts) {
  run(root_ + "/a", 20'000);
  const Logs logs = read(root_ + "/a");
  EXPECT_EQ(logs.decisions.size(), 20'000u);
  size_t fired = 0;
  size_t resolved = 0;
  for (const auto& [kind, body] : logs.journal) {
    fired += kind == "alert_fired";
    resolved += kind == "alert_resolved";
  }
  // 10 series, 2000 rows each, a spike every 1000 rows; the last spikes end with the data and stay
  // open.
  EXPECT_EQ(fired, 20u);
  EXPECT_EQ(resolved, 10u);
}

TEST_F(LoopTest, ARestartChangesNoDecision) {
  run(root_ + "/whole", 12'000);
  for (const uint64_t until : {3'333, 3'334, 9'000, 12'000}) run(root_ + "/parts", until);
  const Logs whole = read(root_ + "/whole");
  const Logs parts = read(root_ + "/parts");
  ASSERT_EQ(parts.decisions.size(), whole.decisions.size());
  for (const auto& [seq, decision] : whole.decisions) {
    const auto& other = parts.decisions.at(seq);
    ASSERT_EQ(other.score, decision.score) << "event " << seq;
    ASSERT_EQ(other.features, decision.features) << "event " << seq;
    ASSERT_EQ(other.outputs, decision.outputs) << "event " << seq;
  }
}

}  // namespace
}  // namespace qw::test
