// Aim: a package comes back as written or is refused; the registry keeps one champion through every
// change and every writer.
#include "models/registry.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "models/package.h"

namespace qw::models {
namespace {

namespace fs = std::filesystem;

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / ("qw_registry_" + std::to_string(::getpid()))).string();
    fs::remove_all(folder_);
    registry_ = Registry::open(folder_).value();
  }
  void TearDown() override { fs::remove_all(folder_); }

  int64_t publish(const std::string& model) {
    VersionInfo info;
    info.model = model;
    info.version = registry_->reserve_version(model).value();
    info.folder = "models/" + model;
    info.published_us = 10;
    EXPECT_TRUE(registry_->publish(info).ok());
    return info.version;
  }

  std::string folder_;
  std::unique_ptr<Registry> registry_;
};

Package sample_package() {
  Package package;
  package.model = "anomaly";
  package.version = 3;
  package.kind = "ensemble";
  package.settings = R"({"threshold":3.5})";
  package.metrics = R"({"held_out":61.5})";
  package.profile = R"({"count":10})";
  return package;
}

TEST_F(RegistryTest, PackagesComeBackAsWritten) {
  const std::string folder = folder_ + "/models/anomaly/3";
  ASSERT_TRUE(write_package(folder, sample_package()).ok());
  const auto read = read_package(folder);
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_EQ(read->settings, sample_package().settings);
  EXPECT_EQ(read->metrics, sample_package().metrics);
  EXPECT_EQ(content_digest(*read), content_digest(sample_package()));
  EXPECT_EQ(write_package(folder, sample_package()).error().code, ErrorCode::kConflict);
}

TEST_F(RegistryTest, ATouchedPackageIsRefusedByName) {
  const std::string folder = folder_ + "/models/anomaly/3";
  ASSERT_TRUE(write_package(folder, sample_package()).ok());
  std::ofstream(folder + "/settings.json") << R"({"threshold":0.1})";
  const auto read = read_package(folder);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(read.error().where.find("settings.json"), std::string::npos);
}

TEST_F(RegistryTest, ThereIsOneChampion) {
  const int64_t first = publish("anomaly");
  const int64_t second = publish("anomaly");
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  ASSERT_TRUE(registry_->promote("anomaly", first, 20).ok());
  ASSERT_TRUE(registry_->promote("anomaly", second, 30).ok());
  EXPECT_EQ(registry_->alias("anomaly", "champion").value(), 2);
  EXPECT_EQ(registry_->version("anomaly", 1)->state, VersionState::kPrevious);
  EXPECT_EQ(registry_->version("anomaly", 2)->state, VersionState::kChampion);
  EXPECT_EQ(registry_->version("anomaly", 2)->swapped_us, 30);
}

TEST_F(RegistryTest, WhatIsRolledBackKeepsItsReason) {
  ASSERT_EQ(publish("anomaly"), 1);
  ASSERT_TRUE(registry_->promote("anomaly", 1, 20).ok());
  ASSERT_TRUE(
      registry_->set_state("anomaly", 1, VersionState::kRollingBack, "worse than thought", 30)
          .ok());
  EXPECT_EQ(registry_->alias("anomaly", "champion").value(), 1) << "it serves until the other can";
  ASSERT_TRUE(registry_->promote("anomaly", 0, 40).ok());
  EXPECT_EQ(registry_->version("anomaly", 1)->state, VersionState::kPrevious);
  EXPECT_EQ(registry_->version("anomaly", 1)->reason, "worse than thought");
  EXPECT_FALSE(registry_->alias("anomaly", "champion").value());
}

TEST_F(RegistryTest, RefusalKeepsItsReasonAndTheChampion) {
  const int64_t champion = publish("anomaly");
  ASSERT_TRUE(registry_->promote("anomaly", champion, 20).ok());
  const int64_t worse = publish("anomaly");
  ASSERT_TRUE(registry_
                  ->set_state("anomaly", worse, VersionState::kRefused, "worse", 30,
                              VersionState::kPublished)
                  .ok());
  EXPECT_EQ(registry_->version("anomaly", worse)->reason, "worse");
  EXPECT_EQ(registry_->alias("anomaly", "champion").value(), champion);
  const auto again = registry_->set_state("anomaly", worse, VersionState::kWarming, "", 40,
                                          VersionState::kPublished);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

TEST_F(RegistryTest, AnUnknownVersionListsTheKnownOnes) {
  publish("anomaly");
  const auto missing = registry_->version("anomaly", 9);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().how_to_mend.find("1"), std::string::npos);
}

TEST_F(RegistryTest, SeveralWritersNeverShareAVersion) {
  std::vector<std::vector<int64_t>> taken(4);
  {
    std::vector<std::jthread> writers;
    for (auto& mine : taken)
      writers.emplace_back([this, &mine] {
        auto own = Registry::open(folder_).value();
        for (int turn = 0; turn < 10; ++turn)
          mine.push_back(own->reserve_version("anomaly").value());
      });
  }
  std::vector<bool> seen(41, false);
  for (const auto& mine : taken)
    for (const int64_t version : mine) {
      ASSERT_LE(version, 40);
      EXPECT_FALSE(seen[static_cast<size_t>(version)]) << version;
      seen[static_cast<size_t>(version)] = true;
    }
}

TEST_F(RegistryTest, EventsTellTheStoryInOrder) {
  const int64_t version = publish("anomaly");
  ASSERT_TRUE(registry_->promote("anomaly", version, 20).ok());
  const auto events = registry_->events_after(0, 10).value();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, "published");
  EXPECT_EQ(events[1].kind, "alias:champion");
}

TEST_F(RegistryTest, ADamagedFileIsNamed) {
  registry_.reset();
  fs::remove(folder_ + "/registry.sqlite-wal");
  std::ofstream(folder_ + "/registry.sqlite") << std::string(4096, 'x');
  const auto opened = Registry::open(folder_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
}

TEST_F(RegistryTest, EveryFlippedBitIsNoticedOrChangesNothing) {
  publish("anomaly");
  publish("anomaly");
  ASSERT_TRUE(registry_->promote("anomaly", 2, 30).ok());
  registry_.reset();
  const std::string path = folder_ + "/registry.sqlite";
  const std::string whole = read_file(path).value();
  size_t noticed = 0;
  for (size_t at = 0; at < whole.size(); at += 101) {
    std::string flipped = whole;
    flipped[at] ^= 0x10;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << flipped;
    fs::remove(path + "-wal");
    fs::remove(path + "-shm");
    const auto opened = Registry::open(folder_);
    if (!opened.ok()) {
      EXPECT_FALSE(opened.error().how_to_mend.empty()) << at;
      ++noticed;
      continue;
    }
    EXPECT_EQ((*opened)->alias("anomaly", "champion").value(), 2) << at;
    ASSERT_EQ((*opened)->versions("anomaly")->size(), 2u) << at;
    EXPECT_EQ((*opened)->events_after(0, 100)->size(), 3u) << at;
    EXPECT_EQ((*opened)->version("anomaly", 2)->published_us, 10) << at;
  }
  EXPECT_GT(noticed, 10u);
}

TEST_F(RegistryTest, OneThatIsGoneOrEmptiedIsMissedAndFoundAgainInItsPackages) {
  Package package = sample_package();
  package.version = registry_->reserve_version("anomaly").value();
  VersionInfo info;
  info.model = "anomaly";
  info.version = package.version;
  info.folder = "models/anomaly/1";
  info.digest = content_digest(package);
  ASSERT_TRUE(write_package(folder_ + "/" + info.folder, package).ok());
  ASSERT_TRUE(registry_->publish(info).ok());
  registry_.reset();
  const std::string path = folder_ + "/registry.sqlite";
  const auto forget = [&] {
    for (const char* end : {"", "-wal", "-shm"}) fs::remove(path + end);
  };
  for (const bool emptied : {false, true}) {
    forget();
    if (emptied) std::ofstream(path).flush();
    const auto refused = Registry::open(folder_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(refused.error().how_to_mend.find("--accept-loss"), std::string::npos);
    std::vector<store::Loss> losses;
    const auto rebuilt = Registry::open_or_rebuild(folder_, losses);
    ASSERT_TRUE(rebuilt.ok()) << rebuilt.error().to_string();
    EXPECT_EQ(losses.size(), 1u);
    EXPECT_EQ((*rebuilt)->version("anomaly", 1)->digest, info.digest);
    EXPECT_EQ((*rebuilt)->reserve_version("anomaly").value(), 2) << "no number is given twice";
  }
  EXPECT_TRUE(Registry::open(folder_).ok());
}

TEST_F(RegistryTest, AFolderThatNeverHadOneGetsOne) {
  registry_.reset();
  fs::remove_all(folder_);
  EXPECT_TRUE(Registry::open(folder_).ok());
  ASSERT_TRUE(store::write_facts(folder_, {1, "id", true, true}).ok());
  EXPECT_TRUE(Registry::open(folder_).ok());
  fs::remove(folder_ + "/registry.sqlite");
  EXPECT_FALSE(Registry::open(folder_).ok()) << "FORMAT says that there was one";
}

TEST_F(RegistryTest, APackageFileThatIsGoneSaysHowToMend) {
  const std::string folder = folder_ + "/models/anomaly/3";
  for (const char* name : {"manifest.json", "settings.json", "profile.json"}) {
    fs::remove_all(folder);
    ASSERT_TRUE(write_package(folder, sample_package()).ok());
    fs::remove(folder + "/" + name);
    const auto read = read_package(folder);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error().where.find(name), std::string::npos);
    EXPECT_FALSE(read.error().how_to_mend.empty());
  }
}

}  // namespace
}  // namespace qw::models
