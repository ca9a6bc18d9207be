// Aim: a published version is whole and says where it comes from, or does not exist.
#include "train/publish.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/engines/builtin.h"
#include "models/lineage.h"
#include "models/load.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;

class PublishTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / ("qw_publish_" + std::to_string(::getpid()))).string();
    fs::remove_all(folder_);
    registry_ = models::Registry::open(folder_).value();
  }
  void TearDown() override {
    registry_.reset();
    fs::remove_all(folder_);
  }

  static Lineage lineage() {
    return {"run-7", "command", "", 0, 12, "nab", 10, 20, "abc", 1, 30, "swap"};
  }
  static models::Package package() {
    models::Package made;
    made.model = "anomaly";
    made.kind = "activity";
    made.created_us = 99;
    made.settings = models::make_detector("activity").value()->settings_json();
    made.metrics = R"({"held_out":61.5})";
    made.profile = R"({"scores":{"count":0,"quantiles":[]}})";
    return made;
  }

  std::string folder_;
  std::unique_ptr<models::Registry> registry_;
};

TEST_F(PublishTest, PublishesAPackageThatLoads) {
  const auto info = publish(*registry_, package(), lineage(), "");
  ASSERT_TRUE(info.ok()) << info.error().to_string();
  EXPECT_EQ(info->version, 1);
  const auto stored = registry_->version("anomaly", 1);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->state, models::VersionState::kPublished);
  EXPECT_EQ(stored->parent, 0);
  const auto read = models::read_package(folder_ + "/" + stored->folder);
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  const auto facts = nlohmann::json::parse(read->lineage);
  EXPECT_EQ(facts["run_id"], "run-7");
  EXPECT_EQ(facts["labels"], 12);
  EXPECT_EQ(facts["definition"], "abc");
  EXPECT_EQ(models::lineage_facts(stored->lineage).then, "swap");
  EXPECT_TRUE(models::load_engine(*registry_, "anomaly", 1).ok());
  EXPECT_EQ(publish(*registry_, package(), lineage(), "")->version, 2);
}

TEST_F(PublishTest, ARefusedVersionKeepsItsReason) {
  ASSERT_TRUE(publish(*registry_, package(), lineage(), "worse than the champion").ok());
  const auto stored = registry_->version("anomaly", 1);
  EXPECT_EQ(stored->state, models::VersionState::kRefused);
  EXPECT_EQ(stored->reason, "worse than the champion");
}

TEST_F(PublishTest, WithoutItsOriginNothingIsPublished) {
  const auto refused = [&](const auto& spoil) {
    Lineage lacking = lineage();
    spoil(lacking);
    const auto answer = publish(*registry_, package(), lacking, "");
    EXPECT_FALSE(answer.ok());
    return !answer.ok() && answer.error().message.find("the lineage lacks") == 0;
  };
  EXPECT_TRUE(refused([](Lineage& l) { l.run_id.clear(); }));
  EXPECT_TRUE(refused([](Lineage& l) { l.trigger.clear(); }));
  EXPECT_TRUE(refused([](Lineage& l) { l.labels = 0; }));
  EXPECT_TRUE(refused([](Lineage& l) { l.labels_from.clear(); }));
  EXPECT_TRUE(refused([](Lineage& l) { l.data_to_us = l.data_from_us; }));
  EXPECT_TRUE(refused([](Lineage& l) { l.definition.clear(); }));
  EXPECT_TRUE(refused([](Lineage& l) { l.trials = 0; }));
  EXPECT_TRUE(refused([](Lineage& l) { l.then.clear(); }));
  EXPECT_TRUE(registry_->versions("anomaly").value().empty());
}

}  // namespace
}  // namespace qw::train
