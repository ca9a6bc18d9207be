// Aim: `quickwater parity` measures its own fixture, an application's features on made-up events,
// and an application's features on what it has really read; a difference is an exit code.
// Method: the whole program called in process; the history is written by running the application
// on a file with disorder, ties, duplicates and nulls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/env.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kApp[] = R"yaml(app: shop
server: { port: 0 }
sources:
  - name: sales
    file: { path: input.csv }
    format: csv
    event_time: ts
    event_time_format: epoch_s
    event_id: id
    allowed_lateness: 20s
    schema: { id: string, shop: string, amount: double, items: int64, price: "decimal(9,2)",
              ts: timestamp }
features:
  - view: shop
    from: sales
    key: shop
    windows: [10s, 1m, 5m/1m]
    aggregates: { n: count(), spent: sum(amount), mean: mean(amount), spread: variance(amount),
                  items: sum(items), dear: max(price), p90: "quantile(amount, 0.9)",
                  recent: "last_k(items, 2)" }
  - view: wide
    from: sales
    key: [items]
    windows: [1m]
    aggregates: { n: count(), paid: sum(price) }
  - derive: ratio
    as: amount / nullif(shop.spent_1m, 0)
  - derive: both
    as: shop.n_1m + wide.n_1m
models:
  - { name: big, rules: { score: "coalesce(ratio, 0.0)" } }
decisions:
  - { name: screen, on: sales, model: big,
      output: { level: "case when score > 0.5 then 'high' end" },
      sinks: [ { log: { path: decisions.jsonl } } ] }
)yaml";

class ParityCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("quickwater_parity_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream(folder_ / "app.yaml") << kApp;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string app() const { return (folder_ / "app.yaml").string(); }

  int call(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = run(arguments, {out, err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  void write_input(int rows) const {
    std::ofstream file(folder_ / "input.csv");
    file << "id,shop,amount,items,price,ts\n";
    Random random(7);
    int64_t now = 1'700'000'000;
    for (int row = 0; row < rows; ++row) {
      now += static_cast<int64_t>(random.below(3));
      int64_t time = now;
      if (random.below(5) == 0) time -= static_cast<int64_t>(random.below(30));
      const int id = row > 10 && random.below(20) == 0 ? row - 3 : row;
      file << id << ",shop" << random.below(3) << ',';
      if (random.below(8) != 0) file << (random.below(3) == 0 ? 0.1 : random.uniform() * 1e4);
      file << ',' << random.below(4) << ',' << random.below(100) << ".25," << time << "\n";
    }
  }

  fs::path folder_;
  std::string out_;
  std::string err_;
};

TEST_F(ParityCommand, OwnFixtureAgrees) {
  EXPECT_EQ(call({"parity", "--fixture", "--events", "400"}), kOk) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("fix.sum_5m"));
  EXPECT_THAT(out_, HasSubstr(" 0 outside their class"));
}

TEST_F(ParityCommand, AnApplicationsFeaturesAgreeOnMadeUpEvents) {
  EXPECT_EQ(call({"parity", app(), "--fixture", "--events", "300", "--json"}), kOk) << err_;
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["outside"], 0);
  EXPECT_GT(json["rows"], 1000);
  std::set<std::string> features, both;
  for (const auto& feature : json["features"]) features.insert(feature["feature"]);
  EXPECT_TRUE(features.contains("shop.p90_5m_by_1m"));
  EXPECT_TRUE(features.contains("wide.paid_1m"));
  EXPECT_TRUE(features.contains("ratio"));
  for (const auto& feature : json["features"]) {
    if (feature["feature"] != "both") continue;  // reads two views
    both.insert(feature["against"]);
    EXPECT_GT(feature["rows"], 200) << feature;
  }
  EXPECT_THAT(both, ::testing::ElementsAre("duckdb", "oracle"));
}

TEST_F(ParityCommand, AnApplicationsFeaturesAgreeOnItsHistory) {
  EXPECT_EQ(call({"parity", app(), "--events", "50"}), kOk) << err_;
  EXPECT_THAT(out_, HasSubstr("no history was compared"));
  EXPECT_FALSE(fs::exists(folder_ / "data"));
  write_input(400);
  ASSERT_EQ(call({"run", app(), "--until-finished"}), kOk) << err_;
  EXPECT_EQ(call({"parity", app(), "--events", "300", "--json"}), kOk) << err_;
  const auto json = nlohmann::json::parse(out_);
  size_t rows = 0;
  for (const auto& feature : json["features"])
    if (feature["data"] == "shop, history" && feature["against"] == "duckdb")
      rows += feature["rows"].get<size_t>();
  EXPECT_GT(rows, 1000u);
  EXPECT_EQ(json["outside"], 0);
}

TEST_F(ParityCommand, WrongArgumentsAreUsageErrors) {
  EXPECT_EQ(call({"parity", app(), "--nab", "/tmp"}), kUsage);
  EXPECT_EQ(call({"parity", "--events", "0"}), kUsage);
  EXPECT_EQ(call({"parity", "/nonexistent.yaml"}), kBadAppFile);
  EXPECT_EQ(call({"parity", "--nab", "/nonexistent", "--events", "20", "--random", "0"}), kMachine);
}

}  // namespace
}  // namespace qw::cli
