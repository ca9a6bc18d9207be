// Aim: `quickwater train` publishes, refuses and explains with the exit code that scripts branch
// on. Method: a small labelled folder in NAB's layout, written here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "models/registry.h"

namespace qw::cli {
namespace {

namespace fs = std::filesystem;

class TrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("qw_train_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "nab/labels");
    fs::create_directories(root_ / "nab/config");
    std::ofstream(root_ / "nab/config/profiles.json") << R"({"standard": {"CostMatrix": {}}})";
    write_app(90);
  }
  void TearDown() override { fs::remove_all(root_); }

  // 12 files of 600 rows, a minute apart; the value is far off from row 400 to 405.
  void write_labels(int labelled) {
    nlohmann::json windows = nlohmann::json::object();
    for (int file = 0; file < 12; ++file) {
      const std::string name = "made/s" + std::to_string(file) + ".csv";
      fs::create_directories(root_ / "nab/data/made");
      std::ofstream out(root_ / "nab/data" / name);
      out << "timestamp,value\n";
      for (int row = 0; row < 600; ++row)
        out << time_of(row) << ',' << (row * 7919 + file * 31) % 10 + (row / 6 == 400 / 6 ? 50 : 0)
            << '\n';
      windows[name] = nlohmann::json::array();
      if (file < labelled) windows[name].push_back({time_of(390), time_of(420)});
    }
    std::ofstream(root_ / "nab/labels/combined_windows.json") << windows.dump();
  }
  static std::string time_of(int row) {
    char text[32];
    std::snprintf(text, sizeof text, "2024-01-01 %02d:%02d:00", row / 60, row % 60);
    return text;
  }
  void write_app(int threshold) {
    std::ofstream(root_ / "app.yaml") << R"(
app: trained
sources:
  - name: metrics
    file: { path: input }
    format: csv
    event_time: ts
    schema: { series: string, value: double, ts: timestamp }
models:
  - { name: odd, detector: activity, settings: { threshold: )"
                                      << threshold << R"( }, key: series, inputs: [value] }
decisions:
  - { name: d, on: metrics, model: odd, output: { x: score } }
)";
  }

  int train(std::vector<std::string> more) {
    std::vector<std::string> words = {"train", (root_ / "app.yaml").string(), "--nab",
                                      (root_ / "nab").string()};
    words.insert(words.end(), more.begin(), more.end());
    std::ostringstream out, err;
    const int code = run(words, {out, err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  fs::path root_;
  std::string out_;
  std::string err_;
};

TEST_F(TrainCommand, PublishesWhatIsBetterAndRefusesTheRest) {
  write_labels(12);
  ASSERT_EQ(train({"--trials", "6"}), kOk) << err_;
  EXPECT_NE(out_.find("published version 1"), std::string::npos) << out_;
  EXPECT_NE(out_.find("12 labels"), std::string::npos);
  const auto registry = models::Registry::open((root_ / "data").string()).value();
  EXPECT_EQ(registry->version("odd", 1)->state, models::VersionState::kPublished);
  ASSERT_TRUE(registry->promote("odd", 1, 5).ok());

  ASSERT_EQ(train({"--trials", "1", "--json"}), kFailed) << out_;
  const auto report = nlohmann::json::parse(out_);
  EXPECT_EQ(report["state"], "refused");
  EXPECT_EQ(report["champion"], 1);
  EXPECT_NE(report["reason"].get<std::string>().find("not better"), std::string::npos);
  EXPECT_EQ(registry->version("odd", 2)->state, models::VersionState::kRefused);
}

TEST_F(TrainCommand, VersionsAreListedAndRolledBack) {
  write_labels(12);
  ASSERT_EQ(train({"--trials", "6"}), kOk) << err_;
  const auto models = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "models");
    words.insert(words.begin() + 2, (root_ / "app.yaml").string());
    std::ostringstream out, err;
    const int code = run(words, {out, err});
    out_ = out.str();
    err_ = err.str();
    return code;
  };
  EXPECT_EQ(models({"rollback"}), kUnavailable);
  EXPECT_NE(err_.find("nothing came before"), std::string::npos) << err_;
  const auto registry = models::Registry::open((root_ / "data").string()).value();
  ASSERT_TRUE(registry->promote("odd", 1, 5).ok());
  ASSERT_EQ(models({"rollback", "--reason", "too loud"}), kOk) << err_;
  EXPECT_NE(out_.find("version 0 of 'odd' will take the place of version 1"), std::string::npos);
  EXPECT_EQ(models({"rollback"}), kUnavailable);
  EXPECT_NE(err_.find("is being rolled back already"), std::string::npos) << err_;
  ASSERT_EQ(models({"list", "--json"}), kOk) << err_;
  const auto listed = nlohmann::json::parse(out_);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]["state"], "rolling_back");
  EXPECT_EQ(listed[0]["reason"], "too loud");
  EXPECT_EQ(listed[1]["version"], 0);
  ASSERT_EQ(models({"list"}), kOk) << err_;
  EXPECT_NE(out_.find("what the application file says"), std::string::npos) << out_;
}

TEST_F(TrainCommand, TooFewLabelsAreRefusedWithTheCount) {
  write_labels(4);
  EXPECT_EQ(train({}), kFailed);
  EXPECT_NE(err_.find("there are 4 labels; 5 are needed"), std::string::npos) << err_;
  const auto registry = models::Registry::open((root_ / "data").string()).value();
  EXPECT_TRUE(registry->versions("odd")->empty());
}

TEST_F(TrainCommand, SaysWhatIsMissing) {
  EXPECT_EQ(train({}), kFailed);
  EXPECT_NE(err_.find("combined_windows.json"), std::string::npos) << err_;
  EXPECT_EQ(train({"--model", "od"}), kFailed);
  EXPECT_NE(err_.find("use one of: odd"), std::string::npos) << err_;
  EXPECT_EQ(train({"--trials", "0"}), kUsage);
}

}  // namespace
}  // namespace qw::cli
