// Aim: a model has one champion and any number of candidates beside it, through every change and
// every writer, with a history that tells each; registries of before go on. Method: each rule on a
// registry of its own; a file as the last version without roles left it, as SQL.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/files.h"
#include "models/registry.h"

namespace qw::models {
namespace {

namespace fs = std::filesystem;
constexpr const char* kModel = "fraud";

class AliasesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / ("qw_aliases_" + std::to_string(::getpid()))).string();
    fs::remove_all(folder_);
    registry_ = Registry::open(folder_).value();
    for (int version = 1; version <= 4; ++version) {
      VersionInfo info;
      info.model = kModel;
      info.version = registry_->reserve_version(kModel).value();
      ASSERT_TRUE(registry_->publish(info).ok());
    }
    ASSERT_TRUE(registry_->promote(kModel, 1, 10).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<void> set(const std::string& alias, int64_t version, AliasRole role,
                   int64_t expected = 0) {
    return registry_->change_alias({kModel, alias, version, role, expected, "", 20});
  }
  VersionState state(int64_t version) { return registry_->version(kModel, version)->state; }
  ErrorCode refusal(const Result<void>& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? ErrorCode::kInternal : result.error().code;
  }

  std::string folder_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(AliasesTest, SeveralCandidatesServeBesideTheChampion) {
  ASSERT_TRUE(set("challenger", 2, AliasRole::kChallenger).ok());
  ASSERT_TRUE(set("cheaper", 3, AliasRole::kChallenger).ok());
  ASSERT_TRUE(set("night", 4, AliasRole::kShadow).ok());
  ASSERT_TRUE(set("baseline", 1, AliasRole::kLabel).ok());
  EXPECT_EQ(state(1), VersionState::kChampion);
  EXPECT_EQ(state(2), VersionState::kChallenger);
  EXPECT_EQ(state(3), VersionState::kChallenger);
  EXPECT_EQ(state(4), VersionState::kShadow);
  const std::vector<Alias> expected = {{"baseline", 1, AliasRole::kLabel},
                                       {"challenger", 2, AliasRole::kChallenger},
                                       {"champion", 1, AliasRole::kChampion},
                                       {"cheaper", 3, AliasRole::kChallenger},
                                       {"night", 4, AliasRole::kShadow}};
  EXPECT_EQ(registry_->aliases(kModel).value(), expected);
  EXPECT_EQ(Registry::open(folder_).value()->aliases(kModel).value(), expected) << "sealed, too";
  EXPECT_EQ(registry_->alias(kModel, "night").value(), 4);
  EXPECT_TRUE(registry_->aliases("other")->empty());
}

TEST_F(AliasesTest, AStateFollowsItsAliases) {
  ASSERT_TRUE(set("a", 2, AliasRole::kShadow).ok());
  ASSERT_TRUE(set("b", 2, AliasRole::kChallenger).ok());
  EXPECT_EQ(state(2), VersionState::kChallenger) << "the one that answers";
  ASSERT_TRUE(set("b", 3, AliasRole::kChallenger, 2).ok());
  EXPECT_EQ(state(2), VersionState::kShadow);
  EXPECT_EQ(state(3), VersionState::kChallenger);
  ASSERT_TRUE(set("a", 0, AliasRole::kLabel, 2).ok());
  EXPECT_EQ(state(2), VersionState::kPrevious) << "it is not taken for one that waits";
  ASSERT_TRUE(set("b", 3, AliasRole::kShadow, 3).ok());
  EXPECT_EQ(state(3), VersionState::kShadow) << "the same alias, another role";
  ASSERT_TRUE(set("c", 4, AliasRole::kLabel).ok());
  ASSERT_TRUE(set("c", 0, AliasRole::kLabel, 4).ok());
  EXPECT_EQ(state(4), VersionState::kPublished) << "a label is a name alone";
}

TEST_F(AliasesTest, WhatBecomesChampionIsNoLongerBesideIt) {
  ASSERT_TRUE(set("challenger", 2, AliasRole::kChallenger).ok());
  ASSERT_TRUE(set("best-of-may", 2, AliasRole::kLabel).ok());
  ASSERT_TRUE(set("night", 3, AliasRole::kShadow).ok());
  ASSERT_TRUE(registry_->promote(kModel, 2, 30).ok());
  EXPECT_EQ(state(1), VersionState::kPrevious);
  EXPECT_EQ(state(2), VersionState::kChampion);
  EXPECT_EQ(state(3), VersionState::kShadow) << "the others stay";
  const std::vector<Alias> expected = {{"best-of-may", 2, AliasRole::kLabel},
                                       {"champion", 2, AliasRole::kChampion},
                                       {"night", 3, AliasRole::kShadow}};
  EXPECT_EQ(registry_->aliases(kModel).value(), expected);
  ASSERT_TRUE(registry_->promote(kModel, 0, 40).ok());
  EXPECT_EQ(state(2), VersionState::kPrevious);
  EXPECT_EQ(registry_->aliases(kModel)->size(), 2u);
}

TEST_F(AliasesTest, EachChangeIsALineOfTheHistory) {
  ASSERT_TRUE(registry_
                  ->change_alias({kModel, "challenger", 2, AliasRole::kChallenger, 0,
                                  "better on held-out data", 20})
                  .ok());
  ASSERT_TRUE(set("challenger", 0, AliasRole::kLabel, 2).ok());
  const auto events = registry_->events_after(5, 100).value();  // after four and the champion
  ASSERT_EQ(events.size(), 4u);
  const std::vector<std::array<std::string, 3>> expected = {
      {"2", "alias:challenger", "challenger: better on held-out data"},
      {"2", "state:challenger", ""},
      {"0", "alias:challenger", "removed"},
      {"2", "state:previous", ""}};
  for (size_t at = 0; at < events.size(); ++at) {
    EXPECT_EQ(std::to_string(events[at].version), expected[at][0]);
    EXPECT_EQ(events[at].kind, expected[at][1]);
    EXPECT_EQ(events[at].detail, expected[at][2]);
    EXPECT_EQ(events[at].at_us, 20);
  }
}

TEST_F(AliasesTest, WhoSawAnotherStateOfThingsIsRefused) {
  ASSERT_TRUE(set("challenger", 2, AliasRole::kChallenger).ok());
  const size_t lines = registry_->events_after(0, 100)->size();
  EXPECT_EQ(refusal(set("challenger", 3, AliasRole::kChallenger)), ErrorCode::kConflict);
  EXPECT_EQ(refusal(set("challenger", 3, AliasRole::kChallenger, 4)), ErrorCode::kConflict);
  EXPECT_EQ(refusal(set("challenger", 0, AliasRole::kLabel, 3)), ErrorCode::kConflict);
  EXPECT_EQ(refusal(set("gone", 0, AliasRole::kLabel, 3)), ErrorCode::kConflict);
  const auto why = set("challenger", 3, AliasRole::kChallenger);
  EXPECT_NE(why.error().message.find("points to version 2"), std::string::npos);
  EXPECT_EQ(registry_->alias(kModel, "challenger").value(), 2);
  EXPECT_EQ(registry_->events_after(0, 100)->size(), lines) << "nothing of it was written";
  EXPECT_EQ(state(3), VersionState::kPublished);
}

TEST_F(AliasesTest, OfManyWritersOneWins) {
  std::atomic<int> won = 0, lost = 0;
  {
    std::vector<std::jthread> writers;
    for (int64_t version = 2; version <= 4; ++version)
      writers.emplace_back([&, version] {
        const auto own = Registry::open(folder_).value();
        const auto done =
            own->change_alias({kModel, "challenger", version, AliasRole::kChallenger, 0, "", 20});
        if (done.ok())
          ++won;
        else if (done.error().code == ErrorCode::kConflict)
          ++lost;
      });
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 2);
  int challengers = 0;
  for (int64_t version = 2; version <= 4; ++version)
    challengers += state(version) == VersionState::kChallenger ? 1 : 0;
  EXPECT_EQ(challengers, 1);
}

TEST_F(AliasesTest, WhatCannotServeBesideIsRefused) {
  EXPECT_EQ(refusal(set("challenger", 1, AliasRole::kChallenger)), ErrorCode::kConflict)
      << "the champion";
  for (const VersionState state : {VersionState::kWarming, VersionState::kWarmed,
                                   VersionState::kRefused, VersionState::kFailed}) {
    ASSERT_TRUE(registry_->set_state(kModel, 2, state, "", 15).ok());
    EXPECT_EQ(refusal(set("challenger", 2, AliasRole::kShadow)), ErrorCode::kConflict);
  }
  EXPECT_TRUE(set("worst", 2, AliasRole::kLabel).ok()) << "a name may be given to any";
  EXPECT_EQ(refusal(set("challenger", 9, AliasRole::kChallenger)), ErrorCode::kNotFound);
  EXPECT_EQ(refusal(set("champion", 2, AliasRole::kLabel, 1)), ErrorCode::kBadInput);
  EXPECT_EQ(refusal(set("other", 2, AliasRole::kChampion)), ErrorCode::kBadInput);
  EXPECT_EQ(refusal(set("two words", 2, AliasRole::kLabel)), ErrorCode::kBadInput);
  EXPECT_EQ(refusal(set("", 2, AliasRole::kLabel)), ErrorCode::kBadInput);
  EXPECT_EQ(registry_->alias(kModel, "champion").value(), 1);
}

TEST_F(AliasesTest, ARoleThatWasTouchedIsNoticed) {
  ASSERT_TRUE(set("challenger", 2, AliasRole::kChallenger).ok());
  registry_.reset();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/registry.sqlite").c_str(), &database), SQLITE_OK);
  const char* const touch = "UPDATE aliases SET role = 'shadow' WHERE alias = 'challenger'";
  EXPECT_EQ(sqlite3_exec(database, touch, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  EXPECT_EQ(Registry::open(folder_).error().code, ErrorCode::kCorrupt);
}

// A file of version 2: one champion (2), one before it (1), one refused (3).
class RegistryOfBefore : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / ("qw_before_" + std::to_string(::getpid()))).string();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const char* const source = std::getenv("QUICKWATER_SOURCE_DIR");
    ASSERT_NE(source, nullptr);
    run("PRAGMA journal_mode = WAL");
    run(read_file(std::string(source) + "/src/models/golden/registry_2.sql").value());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void run(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ + "/registry.sqlite").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  static void expect_as_it_was(const Registry& registry) {
    EXPECT_EQ(registry.alias("anomaly", "champion").value(), 2);
    EXPECT_EQ(registry.aliases("anomaly").value(),
              (std::vector<Alias>{{"champion", 2, AliasRole::kChampion}}));
    EXPECT_EQ(registry.versions("anomaly")->size(), 3u);
    EXPECT_EQ(registry.version("anomaly", 1)->state, VersionState::kPrevious);
    EXPECT_EQ(registry.version("anomaly", 3)->reason, "worse than the champion");
    EXPECT_EQ(registry.events_after(0, 100)->size(), 6u);
  }

  std::string folder_;
};

TEST_F(RegistryOfBefore, IsBroughtUpToDateAndGoesOn) {
  for (int opening = 0; opening < 2; ++opening) {
    const auto registry = Registry::open(folder_);
    ASSERT_TRUE(registry.ok()) << registry.error().to_string();
    expect_as_it_was(**registry);
  }
  const auto registry = Registry::open(folder_).value();
  EXPECT_EQ(registry->reserve_version("anomaly").value(), 4);
  ASSERT_TRUE(
      registry->change_alias({"anomaly", "challenger", 1, AliasRole::kChallenger, 0, "", 9}).ok());
  ASSERT_TRUE(registry->promote("anomaly", 1, 10).ok());
  EXPECT_EQ(Registry::open(folder_).value()->alias("anomaly", "champion").value(), 1);
}

TEST_F(RegistryOfBefore, OneWithoutASealIsSealed) {
  run("DROP TABLE seal; PRAGMA user_version = 1");
  expect_as_it_was(*Registry::open(folder_).value());
  run("UPDATE aliases SET version = 3");
  EXPECT_EQ(Registry::open(folder_).error().code, ErrorCode::kCorrupt);
}

TEST_F(RegistryOfBefore, IsReadWithoutBeingChanged) {
  const std::string before = read_file(folder_ + "/registry.sqlite").value();
  {
    const auto registry = Registry::open_to_read(folder_);
    ASSERT_TRUE(registry.ok()) << registry.error().to_string();
    expect_as_it_was(**registry);
  }
  EXPECT_EQ(read_file(folder_ + "/registry.sqlite").value(), before);
}

TEST_F(RegistryOfBefore, ANewSealDoesNotHideDamage) {
  run("UPDATE aliases SET version = 3");
  const auto registry = Registry::open(folder_);
  ASSERT_FALSE(registry.ok());
  EXPECT_EQ(registry.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(Registry::open_to_read(folder_).error().code, ErrorCode::kCorrupt);
}

TEST_F(RegistryOfBefore, IsOpenedByManyAtOnce) {
  std::atomic<int> opened = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread)
      threads.emplace_back([&] { opened += Registry::open(folder_).ok() ? 1 : 0; });
  }
  EXPECT_EQ(opened, 4);
  expect_as_it_was(*Registry::open(folder_).value());
}

}  // namespace
}  // namespace qw::models
