// Aim: a start reads again from where every table of a log is on disk, whoever's it is, and no
// further; what is taken out is left alone; what a start left catches up with nobody asking.
// Method: tables of counters over one log, written through a real committer, and read back as a
// start would.
#include "store/commit/checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "base/bytes.h"
#include "base/env.h"
#include "store/commit/committer.h"
#include "store/commit/warmer.h"

namespace qw::store {
namespace {

constexpr PartitionId kPartition{3};

class Count final : public KeyedState {
 public:
  std::string_view image(std::string& scratch) const override {
    scratch.clear();
    ByteWriter(scratch).u64(count);
    return scratch;
  }
  size_t memory_bytes() const override { return sizeof *this; }
  uint64_t count = 0;
};

class CountKind final : public KeyedStateKind {
 public:
  std::unique_ptr<KeyedState> fresh(std::string_view) const override {
    return std::make_unique<Count>();
  }
  Result<std::unique_ptr<KeyedState>> decode(std::string_view,
                                             std::string_view image) const override {
    auto state = std::make_unique<Count>();
    state->count = ByteReader(image).u64();
    return std::unique_ptr<KeyedState>(std::move(state));
  }
  Result<void> replay(KeyedState& state, std::string_view, Seq, std::string_view) const override {
    ++static_cast<Count&>(state).count;
    return {};
  }
};

class CheckpointerTest : public ::testing::Test {
 protected:
  CheckpointerTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-checkpointer-XXXXXX";
    options_.folder = ::mkdtemp(pattern.data());
    begin();
  }
  ~CheckpointerTest() override {
    end();
    std::filesystem::remove_all(options_.folder);
  }
  void end() {
    checkpointer_.reset();
    committer_.reset();
    store_.reset();
  }
  // A process begins, as after kill -9 when there was one before.
  void begin() {
    end();
    store_ = Store::open(options_, metrics_).value();
    committer_ = std::make_unique<Committer>(*store_, real_clock(), metrics_, CommitterOptions());
    ASSERT_TRUE(committer_->open().ok());
    lane_ = &committer_->lane("events");
    checkpointer_ = std::make_unique<Checkpointer>(*store_, *lane_, clock_, CheckpointerOptions());
    head_ = store_->last_seq(Log::kEvents, kPartition).value();
  }
  std::shared_ptr<KeyedTable> table(const std::string& owner) {
    KeyedTableOptions options;
    options.owner = owner;
    options.partition = kPartition;
    return std::make_shared<KeyedTable>(*store_, options, std::make_shared<CountKind>());
  }
  // The next event of the log, into these tables.
  void add(const std::string& key, const std::vector<std::shared_ptr<KeyedTable>>& tables) {
    head_ = next(head_);
    lane_->open().txn.append(Log::kEvents, kPartition, head_, key);
    for (const auto& table : tables)
      ASSERT_TRUE(table->apply<Count>(key, head_, 0, [](Count& state) { ++state.count; }).ok());
  }
  void commit() { ASSERT_TRUE(committer_->step().ok()); }
  Seq low_water(const std::string& owner) const {
    return stored_low_water(*store_, owner, kPartition).value();
  }

  MetricRegistry metrics_;
  ManualClock clock_{1'700'000'000'000'000};
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Committer> committer_;
  Lane* lane_ = nullptr;
  std::unique_ptr<Checkpointer> checkpointer_;
  Seq head_;
};

TEST_F(CheckpointerTest, ALogMayBeTrimmedUpToTheTableThatIsFurthestBehind) {
  const auto one = table("view/one@1"), other = table("view/other@1");
  {
    const auto held = lane_->hold();
    checkpointer_->add(one, head_);
    checkpointer_->add(other, head_);
    for (const char* key : {"a", "b", "a"}) add(key, {one, other});
    EXPECT_EQ(checkpointer_->settle(kPartition), Seq{0}) << "nothing is on disk";
    EXPECT_EQ(checkpointer_->settle(PartitionId{4}), std::nullopt) << "nobody reads that log";
    EXPECT_EQ(checkpointer_->write(/*all=*/true).value(), 0u);
    add("b", {other});
    EXPECT_EQ(checkpointer_->settle(kPartition), Seq{3}) << "one has skipped the last, other not";
    EXPECT_EQ(checkpointer_->lags().at("view/other@1").dirty, 1u);
    EXPECT_EQ(checkpointer_->lags().at("view/other@1").events, 1u);
    EXPECT_EQ(checkpointer_->lags().at("view/one@1").events, 0u);
  }
  commit();
  EXPECT_EQ(low_water("view/one@1"), Seq{4});
  EXPECT_EQ(low_water("view/other@1"), Seq{3});
}

TEST_F(CheckpointerTest, WhatIsTakenOutIsLeftAlone) {
  const auto one = table("view/one@1"), other = table("view/other@1");
  {
    const auto held = lane_->hold();
    checkpointer_->add(one, head_);
    checkpointer_->add(other, head_);
    add("a", {one, other});
    checkpointer_->remove("view/one@1");
    EXPECT_EQ(checkpointer_->write(/*all=*/true).value(), 0u);
    EXPECT_EQ(checkpointer_->lags().count("view/one@1"), 0u);
  }
  commit();
  EXPECT_EQ(low_water("view/one@1"), Seq{0});
  EXPECT_EQ(low_water("view/other@1"), Seq{1});
  EXPECT_EQ(one->stats().dirty, 1u);
}

TEST_F(CheckpointerTest, WhatAStartLeftCatchesUpWithNobodyAsking) {
  {
    const auto before = table("view/one@1");
    const auto held = lane_->hold();
    for (int event = 0; event < 200; ++event) add("k" + std::to_string(event % 20), {before});
  }
  commit();
  begin();
  const auto after = table("view/one@1");
  for (uint64_t event = 0; event < 200; ++event)
    after->add_pending("k" + std::to_string(event % 20), Seq{event + 1});
  ASSERT_TRUE(after->finish_recovery(0).ok());
  Warmer warmer(*lane_, *checkpointer_, real_clock());
  {
    const auto held = lane_->hold();
    checkpointer_->add(after, head_);
    EXPECT_EQ(checkpointer_->to_replay(), 200u);
    EXPECT_THAT(checkpointer_->cold(), ::testing::ElementsAre(after));
  }
  warmer.start();
  for (int waited_ms = 0; after->stats().pending_keys > 0; ++waited_ms) {
    ASSERT_LT(waited_ms, 60'000);
    real_clock().sleep_us(1'000);
  }
  warmer.stop();
  EXPECT_TRUE(checkpointer_->cold().empty());
  for (int key = 0; key < 20; ++key)
    ASSERT_TRUE(after
                    ->with_state<Count>("k" + std::to_string(key),
                                        [](const Count& state) { EXPECT_EQ(state.count, 10u); })
                    .ok());
  EXPECT_EQ(after->stats().loads, 20u) << "each was read once, by the warmer";
}

}  // namespace
}  // namespace qw::store
