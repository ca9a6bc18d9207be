// Aim: the stream executor, generated SQL and the oracle agree within each feature's class, and the
// runner finds and shows a difference when there is one. Method: the seeded fixture, random
// scenarios, NAB where it is at hand, and answers changed on purpose.
#include "features/parity/parity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "features/kernels/kernels.h"
#include "features/parity/executors.h"
#include "features/parity/generate.h"

namespace qw::features {
namespace {

using testing::HasSubstr;

TEST(Parity, FixtureIsWithinItsClasses) {
  const auto scenario = make_fixture(1, 3'000);
  ASSERT_TRUE(scenario.ok()) << scenario.error().to_string();
  ParityReport report;
  const auto done = compare_scenario(*scenario, {}, report);
  ASSERT_TRUE(done.ok()) << done.error().to_string();
  EXPECT_EQ(report.outside(), 0u) << report.to_text();
  EXPECT_TRUE(report.notes.empty()) << report.to_text();
  EXPECT_GT(report.rows(), 100'000u);
  for (const FeatureReport& feature : report.features) EXPECT_GT(feature.rows, 0u);
}

TEST(Parity, FixtureHoldsWhatItPromises) {
  const auto scenario = make_fixture(1, 3'000);
  ASSERT_TRUE(scenario.ok());
  size_t counts[6] = {};
  size_t ties = 0;
  const auto& facts = scenario->events.facts;
  for (size_t e = 0; e < facts.size(); ++e) {
    ++counts[static_cast<size_t>(facts[e].status)];
    ties += e > 0 && facts[e].event_time == facts[e - 1].event_time ? 1 : 0;
  }
  EXPECT_GT(counts[2], 100u);  // late_repaired
  EXPECT_GT(counts[3], 50u);   // late_dropped
  EXPECT_GT(counts[4], 50u);   // duplicate
  EXPECT_GT(ties, 300u);
}

TEST(Parity, RandomScenariosAreWithinTheirClasses) {
  ParityOptions options;
  options.fixture_events = 50;
  options.random_scenarios = 60;
  if (const char* seed = std::getenv("QUICKWATER_SEED")) options.seed = std::stoull(seed);
  if (const char* count = std::getenv("QUICKWATER_SCENARIOS"))
    options.random_scenarios = std::stoull(count);
  const auto report = run_parity(options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  EXPECT_EQ(report->outside(), 0u) << report->to_text();
}

TEST(Parity, NabFilesAreWithinTheirClasses) {
  const char* const folder = std::getenv("QUICKWATER_DATA");
  if (folder == nullptr) GTEST_SKIP() << "QUICKWATER_DATA is not set";
  ParityOptions options;
  options.nab_folder = std::string(folder) + "/nab";
  options.nab_files = 2;
  options.fixture_events = 50;
  options.random_scenarios = 1;
  options.oracle_reads = 100;
  const auto report = run_parity(options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  EXPECT_EQ(report->outside(), 0u) << report->to_text();
}

// A changed answer must be found, counted, shown with its inputs, in text and in JSON.
TEST(Parity, DifferencesAreFoundAndShown) {
  const auto scenario = make_fixture(2, 200);
  ASSERT_TRUE(scenario.ok());
  const Answers stream = answer_by_stream(*scenario);
  Answers wrong = answer_by_stream(*scenario);
  wrong.bounds.assign(wrong.statuses.size(), 0);
  schema::Column& counts = wrong.features.column(0);
  schema::Column changed(counts.type());
  for (size_t row = 0; row < counts.size(); ++row)
    changed.append_int(counts.int_at(row) + (row >= 50 ? 1 : 0));
  counts = changed;
  ParityReport report;
  compare_answers(*scenario, stream, wrong, "duckdb", {}, report);
  EXPECT_EQ(report.features[0].outside, scenario->reads.size() - 50);
  ASSERT_EQ(report.features[0].first.size(), 1u);
  EXPECT_EQ(report.features[0].first[0].read, 50u);
  EXPECT_THAT(report.to_text(), HasSubstr("first difference of fix.n_10s"));
  EXPECT_THAT(report.to_text(), HasSubstr("as of "));
  const auto json = nlohmann::json::parse(report.to_json());
  EXPECT_EQ(json["outside"], report.outside());
  EXPECT_EQ(json["features"][0]["class"], "exact");
  EXPECT_EQ(json["features"][0]["first_difference"]["read"], 50);
}

TEST(Parity, ReducedScenariosKeepTheirMeaning) {
  const auto scenario = make_random_scenario(5);
  ASSERT_TRUE(scenario.ok());
  std::vector<bool> events(scenario->events.facts.size(), true);
  std::vector<bool> reads(scenario->reads.size(), false);
  events[0] = false;
  reads.back() = true;
  const Scenario small = reduced(*scenario, events, reads);
  EXPECT_EQ(small.events.facts.size(), events.size() - 1);
  EXPECT_EQ(small.events.facts[0].seq, scenario->events.facts[1].seq);
  EXPECT_EQ(small.reads.size(), 1u);
  EXPECT_FALSE(shrink(small, {}).ok());  // it does not differ
}

TEST(Kernels, CompensatedSumKeepsWhatAPlainSumLoses) {
  const std::vector<double> tenths(10'000, 0.1);
  double plain = 0;
  for (const double value : tenths) plain += value;
  const double bound = 8 * 2.220446049250313e-16 * 1'000;
  EXPECT_GT(std::fabs(plain - 1'000), bound);
  EXPECT_LE(std::fabs(sum_compensated(tenths) - 1'000), bound);
  EXPECT_EQ(sum_compensated(std::vector<double>{1e16, 1, -1e16}), 1);
}

}  // namespace
}  // namespace qw::features
