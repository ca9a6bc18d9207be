// Aim: no damage to a data folder goes unnoticed, and what a crash tears is no damage. Method: a
// folder with known commits is copied as a kill leaves it, as a stop leaves it, and as another boot
// of the machine finds it; one file is damaged in one way; then it must be refused by name, or hold
// every commit. What must be there is counted by the test, from its own commits alone.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "base/files.h"
#include "store/segments/history.h"
#include "store/segments/listing.h"

namespace qw::store {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr PartitionId kPartition{3};

struct Way {
  const char* name;
  std::function<void(const std::string& path)> damage;
};

void rewrite(const std::string& path, const std::function<void(std::string&)>& change) {
  std::string bytes = read_file(path).value();
  change(bytes);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
Way flip(double where) {
  return {"flip", [where](const std::string& path) {
            rewrite(path, [where](std::string& bytes) {
              if (!bytes.empty())
                bytes[static_cast<size_t>(where * static_cast<double>(bytes.size() - 1))] ^= 0x40;
            });
          }};
}
const Way kCut{"cut",
               [](const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); }};
const Way kCutOne{"cut one byte",
                  [](const std::string& path) { fs::resize_file(path, fs::file_size(path) - 1); }};
const Way kEmpty{"empty", [](const std::string& path) { fs::resize_file(path, 0); }};
const Way kMissing{"missing", [](const std::string& path) { fs::remove_all(path); }};
const Way kZeros{"zeros at the end", [](const std::string& path) {
                   const auto size = fs::file_size(path);
                   fs::resize_file(path, size - std::min<uint64_t>(size, 64));
                   fs::resize_file(path, size);
                 }};

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() {
    std::string pattern = fs::temp_directory_path() / "qw-damage-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    options_.folder = root_ + "/first";
    options_.write_buffer_bytes = 256u << 10;  // several logs and tables
    options_.boot = "one";
  }
  ~DamageTest() override {
    store_.reset();
    fs::remove_all(root_);
  }
  void open() { store_ = Store::open(options_, metrics_).value(); }
  void commit(uint64_t number, Durability durability) {
    Txn txn;
    txn.append(Log::kEvents, kPartition, Seq{number},
               std::string(300, 'e') + std::to_string(number));
    txn.put_meta("position", std::to_string(number));
    ASSERT_TRUE(store_->commit(txn, durability).ok());
  }
  // As a kill leaves the folder: the store is still open.
  std::string copy(const std::string& name) {
    const std::string to = root_ + "/" + name;
    fs::remove_all(to);
    fs::copy(options_.folder, to, fs::copy_options::recursive);
    return to;
  }
  Result<std::unique_ptr<Store>> open_at(const std::string& folder, const std::string& boot,
                                         bool accept_loss = false) {
    StoreOptions options = options_;
    options.folder = folder;
    options.boot = boot;
    options.accept_loss = accept_loss;
    return Store::open(options, metrics_);
  }
  static uint64_t records(const Store& store) {
    uint64_t count = 0;
    EXPECT_TRUE(store
                    .scan(Log::kEvents, kPartition, Seq{}, Seq{UINT64_MAX},
                          [&](Seq, std::string_view) { return ++count > 0; })
                    .ok());
    return count;
  }
  static std::vector<std::string> files(const std::string& folder, const std::string& begin,
                                        const std::string& end) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(begin) && name.ends_with(end) && fs::file_size(entry.path()) > 0)
        found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // Refused, with the place and how to mend it; or whole.
  void expect_noticed(const std::string& what, const std::string& folder, const std::string& boot,
                      uint64_t wanted) {
    SCOPED_TRACE(what);
    const auto opened = open_at(folder, boot);
    if (opened.ok()) {
      uint64_t count = 0;
      const auto read = (*opened)->scan(Log::kEvents, kPartition, Seq{}, Seq{UINT64_MAX},
                                        [&](Seq, std::string_view) { return ++count > 0; });
      if (read.ok())
        EXPECT_EQ(count, wanted) << "lost without a word";
      else
        EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << read.error().to_string();
      return;
    }
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << opened.error().to_string();
    EXPECT_THAT(opened.error().to_string(), HasSubstr(folder));
    EXPECT_FALSE(opened.error().how_to_mend.empty());
  }

  std::string root_;
  StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
};

TEST_F(DamageTest, WhateverIsDamagedOfTheDatabaseIsNoticed) {
  constexpr uint64_t kCommits = 1500;
  open();
  for (uint64_t number = 1; number <= kCommits; ++number)
    commit(number, number % 5 == 0 ? Durability::kMachine : Durability::kProcess);
  const std::string killed = copy("killed");
  store_.reset();
  const std::string stopped = copy("stopped");
  size_t tried = 0;
  for (const std::string& base : {killed, stopped})
    for (const Way& way :
         {flip(0.5), flip(0.02), flip(0.999), kCut, kCutOne, kEmpty, kZeros, kMissing})
      for (const auto& [begin, end] : {std::pair<std::string, std::string>{"", ".log"},
                                       {"", ".sst"},
                                       {"MANIFEST", ""},
                                       {"CURRENT", ""}}) {
        const size_t count = files(base + "/db", begin, end).size();
        ASSERT_GT(count, 0u) << begin << "*" << end;
        for (const size_t index : std::set<size_t>{0, count / 2, count - 1}) {
          options_.folder = base;
          const std::string folder = copy("damaged");
          const std::string path = files(folder + "/db", begin, end)[index];
          way.damage(path);
          expect_noticed(base + ": " + way.name + " " + path, folder, "one", kCommits);
          ++tried;
        }
      }
  EXPECT_GT(tried, 40u);
}

TEST_F(DamageTest, AfterAStopTheEndIsKnownOnAnyMachine) {
  open();
  for (uint64_t number = 1; number <= 50; ++number) commit(number, Durability::kProcess);
  store_.reset();
  const std::string folder = copy("elsewhere");
  kCutOne.damage(files(folder + "/db", "", ".log").back());
  const auto opened = open_at(folder, "another boot");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().to_string(), HasSubstr("2 acknowledged changes"));
}

TEST_F(DamageTest, WhatACrashTearsIsAcceptedUnasked) {
  open();
  for (uint64_t number = 1; number <= 50; ++number) commit(number, Durability::kMachine);
  const std::string synced_log = files(options_.folder + "/db", "", ".log").back();
  const auto synced_bytes = fs::file_size(synced_log);
  for (uint64_t number = 51; number <= 60; ++number) commit(number, Durability::kProcess);
  const std::string name = fs::path(synced_log).filename().string();
  {
    // A kill in the middle of a write: half a record behind what was acknowledged.
    const std::string folder = copy("killed");
    rewrite(folder + "/db/" + name,
            [](std::string& bytes) { bytes += bytes.substr(bytes.size() - 100, 60); });
    const auto opened = open_at(folder, "one");
    ASSERT_TRUE(opened.ok()) << opened.error().to_string();
    EXPECT_EQ(records(**opened), 60u);
  }
  // A power cut: of what was not synced anything may be gone.
  for (const uint64_t more : {0u, 1u, 700u}) {
    const std::string folder = copy("cut");
    fs::resize_file(folder + "/db/" + name, synced_bytes + more);
    EXPECT_FALSE(open_at(folder, "one").ok()) << "a kill keeps all that was written";
    const auto opened = open_at(folder, "another boot");
    ASSERT_TRUE(opened.ok()) << opened.error().to_string();
    EXPECT_GE(records(**opened), 50u);
    EXPECT_LE(records(**opened), 60u);
  }
  // What was synced is missed on any boot.
  const std::string folder = copy("damaged");
  fs::resize_file(folder + "/db/" + name, synced_bytes - 1);
  EXPECT_FALSE(open_at(folder, "another boot").ok());
}

TEST_F(DamageTest, ARefusalChangesNothing) {
  open();
  for (uint64_t number = 1; number <= 500; ++number) commit(number, Durability::kMachine);
  const std::string folder = copy("damaged");
  const std::string log = files(folder + "/db", "", ".log").back();
  const std::string whole = read_file(log).value();
  flip(0.5).damage(log);
  for (int times = 0; times < 3; ++times) EXPECT_FALSE(open_at(folder, "one").ok());
  std::ofstream(log, std::ios::binary | std::ios::trunc) << whole;
  const auto mended = open_at(folder, "one");
  ASSERT_TRUE(mended.ok()) << mended.error().to_string();
  EXPECT_EQ(records(**mended), 500u);
}

TEST_F(DamageTest, LossIsAcceptedWhenToldAndOnlyThen) {
  open();
  for (uint64_t number = 1; number <= 500; ++number) commit(number, Durability::kMachine);
  const std::string folder = copy("damaged");
  flip(0.5).damage(files(folder + "/db", "", ".log").back());
  {
    auto accepted = open_at(folder, "one", true);
    ASSERT_TRUE(accepted.ok()) << accepted.error().to_string();
    const uint64_t kept = records(**accepted);
    EXPECT_LT(kept, 500u);
    EXPECT_EQ((*accepted)->get_meta("position")->value(), std::to_string(kept))
        << "not at a commit";
    ASSERT_EQ((*accepted)->losses().size(), 1u);
    EXPECT_THAT((*accepted)->losses()[0].what, HasSubstr("acknowledged changes"));
  }
  const auto again = open_at(folder, "one");
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_TRUE((*again)->losses().empty());
}

TEST_F(DamageTest, ADatabaseThatIsGoneIsMissedAndTakesNothingWithIt) {
  open();
  commit(1, Durability::kMachine);
  store_.reset();
  fs::create_directories(segment_folder(options_.folder));
  const std::string segment = Segment{Log::kEvents, kPartition, Seq{1}, Seq{9}}.file();
  std::ofstream(segment_folder(options_.folder) + "/" + segment) << "records";
  std::ofstream(segment_folder(options_.folder) + "/mine.parquet") << "mine";
  fs::remove_all(options_.folder + "/db");
  for (const bool of_before : {false, true}) {
    const std::string folder = copy("gone");
    // A folder of before does not say what it has; its segments do.
    if (of_before) std::ofstream(folder + "/FORMAT") << "quickwater data 1\n";
    const auto refused = open_at(folder, "one");
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().to_string(), HasSubstr(folder + "/db"));
    auto accepted = open_at(folder, "one", true);
    ASSERT_TRUE(accepted.ok()) << accepted.error().to_string();
    EXPECT_FALSE((*accepted)->losses().empty());
    EXPECT_TRUE(fs::exists(lost_folder(folder) + "/segments/" + segment));
    EXPECT_TRUE(fs::exists(lost_folder(folder) + "/segments/mine.parquet"));
  }
}

TEST_F(DamageTest, ADatabaseOfAnotherFolderIsRefused) {
  open();
  commit(1, Durability::kMachine);
  store_.reset();
  const std::string one = options_.folder;
  options_.folder = root_ + "/second";
  open();
  store_.reset();
  fs::remove_all(options_.folder + "/db");
  fs::copy(one + "/db", options_.folder + "/db", fs::copy_options::recursive);
  fs::copy(one + "/db-end", options_.folder + "/db-end", fs::copy_options::overwrite_existing);
  const auto refused = open_at(options_.folder, "one");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().to_string(), HasSubstr("another data folder"));
}

TEST_F(DamageTest, AFolderOfBeforeIsReadAndIsMarked) {
  open();
  commit(1, Durability::kMachine);
  store_.reset();
  std::ofstream(options_.folder + "/FORMAT") << "quickwater data 1\n";
  fs::remove(options_.folder + "/db-end");
  open();
  EXPECT_EQ(records(*store_), 1u);
  const auto facts = read_facts(options_.folder).value();
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->has_database);
  EXPECT_EQ(facts->id.size(), 32u);
}

TEST_F(DamageTest, AnotherFileOfTheFolderIsNamedOrLosesNothing) {
  open();
  for (uint64_t number = 1; number <= 20; ++number) commit(number, Durability::kMachine);
  store_.reset();
  for (const char* name : {"FORMAT", "db-end", "LOCK"})
    for (const Way& way : {flip(0.05), flip(0.5), flip(0.9), kCut, kEmpty, kMissing}) {
      const std::string folder = copy("damaged");
      way.damage(folder + "/" + name);
      expect_noticed(std::string(way.name) + " " + name, folder, "one", 20);
    }
}

TEST_F(DamageTest, TheListOfViewsIsSealed) {
  Segment segment{Log::kEvents, kPartition, Seq{1}, Seq{9}};
  const std::string path = root_ + "/" + segment.file();
  std::ofstream(path) << "records";
  segment.checksum = file_checksum64(path).value();
  const std::string text =
      seal_views("create view events_a as select 1;\n", {{"events_a", {segment}}});
  EXPECT_TRUE(verify_views(root_, text, "select * from EVENTS_A").ok());
  for (size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] ^= 0x01;
    EXPECT_FALSE(verify_views(root_, flipped, "").ok()) << at;
    EXPECT_FALSE(verify_views(root_, text.substr(0, at), "").ok()) << at;
  }
  std::ofstream(path) << "Records";
  EXPECT_TRUE(verify_views(root_, text, "select * from events_a").ok()) << "once in a process";
  segment.to = Seq{10};
  const std::string other = root_ + "/" + segment.file();
  std::ofstream(other) << "Records";
  const std::string listed = seal_views("select 1;\n", {{"events_a", {segment}}});
  EXPECT_TRUE(verify_views(root_, listed, "select * from decisions").ok());
  const auto damaged = verify_views(root_, listed, "select * from events_a");
  ASSERT_FALSE(damaged.ok());
  EXPECT_THAT(damaged.error().to_string(), HasSubstr(segment.file()));
}

}  // namespace
}  // namespace qw::store
