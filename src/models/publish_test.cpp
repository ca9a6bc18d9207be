// Aim: a model that was made elsewhere is brought in, loaded with what it declares, scored, put
// beside the champion, made champion and rolled back, by its package alone; what cannot be served
// never becomes a version. Method: a folder as a trainer would leave it; scores by hand.
#include "models/publish.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "models/column_mapping.h"
#include "models/engines/builtin.h"
#include "models/lineage.h"
#include "models/load.h"

namespace qw::models {
namespace {

namespace fs = std::filesystem;

class PublishTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / ("qw_import_" + std::to_string(::getpid()))).string();
    fs::remove_all(root_);
    made_ = root_ + "/made";
    fs::create_directories(made_);
    registry_ = Registry::open(root_ + "/data").value();
    describe(R"({"kind":"linear",
      "inputs":[{"name":"amount","type":"double"},{"name":"card.n_1m","type":"int64"}],
      "outputs":[{"name":"score","type":"double"}],
      "metrics":{"auc":0.91},"lineage":{"run_id":"7","then":"swap"}})");
    weigh(1);
  }
  void TearDown() override {
    registry_.reset();
    fs::remove_all(root_);
  }

  void describe(const std::string& text) const { std::ofstream(made_ + "/model.json") << text; }
  void weigh(double intercept) const {
    std::ofstream(made_ + "/weights.json") << fmt::format(
        R"({{"intercept":{},"weights":{{"amount":0.5,"card.n_1m":-2}}}})", intercept);
  }
  Result<VersionInfo> import() { return import_package(*registry_, "fraud", made_, 50); }

  // As a decision would: by name, from what it offers.
  double score(int64_t version) {
    const auto loaded = load_model(*registry_, "fraud", version);
    EXPECT_TRUE(loaded.ok()) << loaded.error().to_string();
    const auto engine = std::get<std::shared_ptr<const ScoringEngine>>(loaded->engine);
    const schema::Schema offered({{"card.n_1m", schema::kInt64},
                                  {"country", schema::kString},
                                  {"amount", schema::Type{schema::Kind::kDecimal, 9, 2}}});
    const auto mapping = ColumnMapping::make(offered, loaded->inputs, "the model 'fraud'");
    EXPECT_TRUE(mapping.ok());
    InputBlock block(loaded->inputs, 1);
    const std::vector<schema::Value> row = {int64_t{3}, std::string("fr"), int64_t{1050}};
    mapping->fill(row, block);
    double score = 0;
    EXPECT_TRUE(engine->score(block.rows(), {&score, 1}).ok());
    return score;
  }
  std::string refusal() {
    const auto answer = import();
    EXPECT_FALSE(answer.ok());
    EXPECT_TRUE(registry_->versions("fraud").value().empty()) << "nothing was published";
    EXPECT_FALSE(fs::exists(root_ + "/data/models"));
    if (answer.ok()) return {};
    EXPECT_FALSE(answer.error().how_to_mend.empty()) << answer.error().to_string();
    return answer.error().to_string();
  }

  std::string root_, made_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(PublishTest, AModelIsBroughtInServedSwappedAndRolledBack) {
  const auto first = import();
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(first->state, VersionState::kPublished);
  EXPECT_EQ(first->metrics, R"({"auc":0.91})");
  EXPECT_EQ(lineage_facts(first->lineage).run_id, "7");
  EXPECT_EQ(lineage_facts(first->lineage).then, "publish")
      << "who brings it in says when it serves";
  weigh(2);
  ASSERT_EQ(import()->version, 2);
  fs::remove_all(made_);
  // intercept + 10.50 * 0.5 - 3 * 2
  EXPECT_EQ(score(1), 1 + 5.25 - 6);
  EXPECT_EQ(score(2), 2 + 5.25 - 6);
  const auto loaded = load_model(*registry_, "fraud", 1);
  EXPECT_EQ(loaded->outputs, schema::Schema({{"score", schema::kDouble}}));

  ASSERT_TRUE(registry_->promote("fraud", 1, 60).ok());
  ASSERT_TRUE(
      registry_->change_alias({"fraud", "challenger", 2, AliasRole::kChallenger, 0, "", 70}).ok());
  EXPECT_EQ(score(*registry_->alias("fraud", "challenger").value()), 1.25);
  ASSERT_TRUE(registry_->promote("fraud", 2, 80).ok());
  EXPECT_EQ(score(*registry_->alias("fraud", "champion").value()), 1.25);
  ASSERT_TRUE(registry_->promote("fraud", 1, 90).ok());
  EXPECT_EQ(score(*registry_->alias("fraud", "champion").value()), 0.25);
  EXPECT_EQ(registry_->version("fraud", 2)->state, VersionState::kPrevious);
}

TEST_F(PublishTest, AnEngineOutlivesItsPackage) {
  ASSERT_TRUE(import().ok());
  const auto loaded = load_model(*registry_, "fraud", 1);
  ASSERT_TRUE(loaded.ok());
  fs::remove_all(root_ + "/data/models");
  const auto engine = std::get<std::shared_ptr<const ScoringEngine>>(loaded->engine);
  const double amount = 4, n = 1;
  const InputColumn columns[] = {{&amount, nullptr}, {&n, nullptr}};
  double score = 0;
  ASSERT_TRUE(engine->score({columns, 1}, {&score, 1}).ok());
  EXPECT_EQ(score, 1 + 2 - 2);
}

TEST_F(PublishTest, WhatCannotBeServedIsNeverPublished) {
  weigh(1);
  describe(R"({"kind":"linear","inputs":[{"name":"amount","type":"double"}],
               "outputs":[{"name":"score","type":"double"}]})");
  EXPECT_NE(refusal().find("there is no input 'card.n_1m'"), std::string::npos);
  describe(R"({"kind":"linear","inputs":[{"name":"amount"}],"outputs":[]})");
  EXPECT_NE(refusal().find("'inputs' holds {\"name\":\"amount\"}"), std::string::npos);
  describe(R"({"kind":"linear","inputs":[{"name":"a","type":"float"}],"outputs":[]})");
  EXPECT_NE(refusal().find("'float' is not a type"), std::string::npos);
  describe(R"({"kind":"linear","inputs":[]})");
  EXPECT_NE(refusal().find("'outputs' is not a list"), std::string::npos);
  describe(R"({"kind":"linear","input":[]})");
  EXPECT_NE(refusal().find("did you mean 'inputs'?"), std::string::npos);
  describe(R"({"inputs":[],"outputs":[]})");
  EXPECT_NE(refusal().find("'kind'"), std::string::npos);
  describe(R"({"kind":"linear","inputs":[],"outputs":[],"settings":3})");
  EXPECT_NE(refusal().find("'settings' is not a JSON object"), std::string::npos);
  describe("{");
  EXPECT_NE(refusal().find("not a JSON object"), std::string::npos);
  EXPECT_EQ(import_package(*registry_, "../x", made_, 50).error().code, ErrorCode::kBadInput);
}

TEST_F(PublishTest, TheFolderHoldsPlainFilesAlone) {
  fs::create_symlink("/etc/hostname", made_ + "/extra.bin");
  EXPECT_NE(refusal().find("a link"), std::string::npos);
  fs::remove(made_ + "/extra.bin");
  fs::create_directory(made_ + "/more");
  EXPECT_NE(refusal().find("not a regular file"), std::string::npos);
  fs::remove(made_ + "/more");
  std::ofstream(made_ + "/.hidden") << "";
  EXPECT_NE(refusal().find("'.hidden' cannot be the name"), std::string::npos);
  fs::remove_all(made_);
  EXPECT_EQ(import().error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry_->reserve_version("fraud").value(), 1) << "no number was used up";
}

TEST_F(PublishTest, APackageInAnothersPlaceIsRefused) {
  ASSERT_TRUE(import().ok());
  weigh(2);
  ASSERT_TRUE(import().ok());
  const std::string models = root_ + "/data/models/fraud/";
  fs::remove_all(models + "1");
  fs::copy(models + "2", models + "1");
  const auto loaded = load_model(*registry_, "fraud", 1);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(loaded.error().message.find("another package"), std::string::npos);
  EXPECT_TRUE(load_model(*registry_, "fraud", 2).ok());
}

TEST_F(PublishTest, WhatDoesNotLearnIsNotTakenForADetector) {
  ASSERT_TRUE(import().ok());
  const auto refused = load_engine(*registry_, "fraud", 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("'linear'"), std::string::npos);
}

TEST_F(PublishTest, ADetectorOfFormat1IsStillLoaded) {
  const char* const source = std::getenv("QUICKWATER_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  VersionInfo info;
  info.model = "anomaly";
  info.version = registry_->reserve_version("anomaly").value();
  info.folder = "models/anomaly/1";
  info.digest = "c52bea2172362f3692608f98bca96dc7385005002d3c773deafe56d1fe7f874d";
  fs::create_directories(root_ + "/data/models/anomaly");
  fs::copy(fs::path(source) / "src/models/golden/package_1", root_ + "/data/" + info.folder);
  ASSERT_TRUE(registry_->publish(info).ok());
  const auto engine = load_engine(*registry_, "anomaly", 1);
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  EXPECT_EQ((*engine)->kind(), "activity");
  EXPECT_EQ((*engine)->threshold(), 1.5);
  const auto again = read_package(root_ + "/data/" + info.folder);
  ASSERT_TRUE(publish_package(*registry_, *again, 1, "").ok()) << "as a package of today";
  EXPECT_TRUE(load_engine(*registry_, "anomaly", 2).ok());
}

TEST(EngineKinds, AreNamedOnceAndInOrderAndHoldEveryDetector) {
  std::vector<std::string_view> names;
  for (const EngineKind& kind : engine_kinds()) names.push_back(kind.name);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()).size(), names.size());
  for (const std::string_view detector : detectors::detector_kinds()) {
    Package package;
    package.kind = detector;
    const auto engine = make_engine(package);
    ASSERT_TRUE(engine.ok()) << detector;
    EXPECT_EQ(std::get<std::shared_ptr<const LearningEngine>>(*engine)->kind(), detector);
  }
}

TEST(EngineKinds, ANameIsTakenOnce) {
  constexpr EngineKind twice[] = {{"a", nullptr}, {"b", nullptr}, {"a", nullptr}};
  EXPECT_FALSE(named_once(twice));
  EXPECT_TRUE(named_once(engine_kinds()));
}

}  // namespace
}  // namespace qw::models
