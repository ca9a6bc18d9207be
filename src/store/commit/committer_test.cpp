// Aim: what is done under one hold of a lane is durable whole or not at all; numbers that several
// lanes share are dense and keep each lane's order, over restarts; a hold that breaks off ends all
// commits. Method: threads that write pairs which must agree, read back at every commit as a start
// would read them; lanes against one list in memory.
#include "store/commit/committer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "base/env.h"
#include "store/commit/journal.h"

namespace qw::store {
namespace {

using ::testing::ElementsAre;

class CommitterTest : public ::testing::Test {
 protected:
  CommitterTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-commit-XXXXXX";
    options_.folder = ::mkdtemp(pattern.data());
    begin();
  }
  ~CommitterTest() override {
    committer_.reset();
    store_.reset();
    std::filesystem::remove_all(options_.folder);
  }
  // A process begins, as after kill -9 when there was one before.
  void begin(CommitterOptions options = {}) {
    committer_.reset();
    store_.reset();
    store_ = Store::open(options_, metrics_).value();
    options.interval_us = 200;
    options.on_broken = [this](const Error& error) { broken_ = error; };
    committer_ = std::make_unique<Committer>(*store_, real_clock(), metrics_, options);
    ASSERT_TRUE(committer_->open().ok());
  }
  std::string meta(const std::string& name) const {
    return store_->get_meta(name).value().value_or("");
  }
  std::vector<std::string> journal() const {
    std::vector<std::string> all;
    Seq expected;
    EXPECT_TRUE(store_
                    ->scan(Log::kJournal, kJournalPartition, Seq{}, Seq{~0ull},
                           [&](Seq seq, std::string_view bytes) {
                             EXPECT_EQ(seq, expected = next(expected)) << "numbers have a hole";
                             all.push_back(schema::decode_journal(bytes).value().json);
                             return true;
                           })
                    .ok());
    return all;
  }

  StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Committer> committer_;
  std::optional<Error> broken_;
};

TEST_F(CommitterTest, WhatOneHoldAddsIsDurableTogether) {
  constexpr int kWriters = 4, kUnits = 3000;
  std::vector<Lane*> lanes;
  for (int writer = 0; writer < kWriters; ++writer)
    lanes.push_back(&committer_->lane(fmt::format("writer {}", writer)));
  committer_->start();
  std::atomic<int> looks{0}, torn{0};
  // Once durable, on the committer's thread: no other commit is under way.
  const auto look = [&] {
    for (int writer = 0; writer < kWriters; ++writer)
      torn += meta(fmt::format("one/{}", writer)) != meta(fmt::format("other/{}", writer));
    ++looks;
  };
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < kWriters; ++writer)
      writers.emplace_back([&, writer] {
        for (int unit = 1; unit <= kUnits; ++unit) {
          auto held = lanes[static_cast<size_t>(writer)]->hold();
          held.open().txn.put_meta(fmt::format("one/{}", writer), std::to_string(unit));
          if (unit % 100 == 0) real_clock().sleep_us(300);  // a commit comes in between
          held.open().txn.put_meta(fmt::format("other/{}", writer), std::to_string(unit));
          if (unit % 50 == 0) held.open().then.emplace_back(look);
        }
      });
  }
  EXPECT_TRUE(committer_->stop());
  EXPECT_EQ(looks, kWriters * kUnits / 50);
  EXPECT_EQ(torn, 0);
  for (int writer = 0; writer < kWriters; ++writer)
    EXPECT_EQ(meta(fmt::format("other/{}", writer)), std::to_string(kUnits));
}

TEST_F(CommitterTest, NumbersOfSeveralLanesAreDenseAndKeepEachLanesOrder) {
  class Hears final : public JournalWatcher {
   public:
    void on_journal(Seq seq, const schema::JournalRecord& record) override {
      in_order = in_order && seq == (last = next(last));
      told.push_back(record.json);
    }
    Seq last;
    bool in_order = true;
    std::vector<std::string> told;
  } hears;
  constexpr int kWriters = 4, kRecords = 2000, kLives = 2;
  for (int life = 0; life < kLives; ++life) {
    if (life > 0) begin();
    Journal journal(real_clock());
    journal.watch(hears);
    std::vector<Lane*> lanes;
    for (int writer = 0; writer < kWriters; ++writer)
      lanes.push_back(&committer_->lane(fmt::format("writer {}", writer)));
    committer_->start();
    std::atomic<int> rows{0};
    {
      std::vector<std::jthread> writers;
      for (int writer = 0; writer < kWriters; ++writer)
        writers.emplace_back([&, writer] {
          for (int record = 0; record < kRecords; ++record) {
            auto held = lanes[static_cast<size_t>(writer)]->hold();
            journal.append(held.open(),
                           {"kind", 1, fmt::format("{} {}", writer, life * kRecords + record)});
            held.open().put_outbox("sink", "row", [&](Seq) { ++rows; });
          }
        });
    }
    EXPECT_TRUE(committer_->stop());
    EXPECT_EQ(rows, kWriters * kRecords);
  }
  EXPECT_TRUE(hears.in_order);
  const auto written = journal();
  EXPECT_EQ(written, hears.told);
  ASSERT_EQ(written.size(), size_t{kWriters} * kRecords * kLives);
  std::vector<int> next_of(kWriters, 0);
  for (const std::string& text : written) {
    const auto writer = static_cast<size_t>(text.front() - '0');
    ASSERT_EQ(text, fmt::format("{} {}", writer, next_of[writer]++));
  }
  EXPECT_EQ(store_->last_outbox_seq("sink").value().value(),
            uint64_t{kWriters} * kRecords * kLives);
}

// One record makes another lane's, within one commit: the first comes first.
TEST_F(CommitterTest, TheJournalKeepsTheOrderInWhichItWasWritten) {
  Journal journal(real_clock());
  Lane& early = committer_->lane("early");
  Lane& late = committer_->lane("late");
  for (const auto& [lane, text] :
       {std::pair(&late, "a"), {&early, "b"}, {&late, "c"}, {&early, "d"}}) {
    auto held = lane->hold();
    journal.append(held.open(), {"kind", 1, text});
  }
  ASSERT_TRUE(committer_->step().ok());
  EXPECT_THAT(this->journal(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(CommitterTest, OneCommitHoldsEveryLanesChanges) {
  Lane& one = committer_->lane("one");
  Lane& other = committer_->lane("other");
  const PartitionId partition{5};
  const StateId state{"owner", partition, "key"};
  StatePages pages;
  {
    auto held = one.hold();
    held.open().txn.append(Log::kEvents, partition, Seq{1}, "one");
    held.open().txn.put_meta("kept", "1");
    held.open().txn.put_meta("list/a", "1");
  }
  {
    auto held = other.hold();
    held.open().need(Durability::kMachine);
    held.open().txn.append(Log::kDecisions, partition, Seq{1}, "other");
    held.open().txn.checkpoint(state, Seq{1}, std::string(2000, 's'), pages);
    held.open().txn.put_outbox("sink", Seq{9}, "row");
    held.open().txn.erase_meta_prefix("list/");
    held.open().txn.put_meta("list/b", "2");
  }
  ASSERT_TRUE(committer_->step().ok());
  EXPECT_EQ(metrics_.counter("quickwater_store_commits_total", "").value(), 1u);
  std::string records;
  for (const Log log : {Log::kEvents, Log::kDecisions})
    ASSERT_TRUE(store_
                    ->scan(log, partition, Seq{1}, Seq{9},
                           [&](Seq seq, std::string_view record) {
                             records += fmt::format("{}:{} ", seq.value(), record);
                             return true;
                           })
                    .ok());
  EXPECT_EQ(records, "1:one 1:other ");
  EXPECT_EQ(store_->last_outbox_seq("sink").value(), Seq{9});
  EXPECT_EQ(meta("kept") + meta("list/a") + meta("list/b"), "12");
  EXPECT_EQ(store_->load_state(state, pages).value()->bytes, std::string(2000, 's'));
}

TEST_F(CommitterTest, AHoldThatBreaksOffEndsAllCommits) {
  for (const bool throws : {true, false}) {
    begin();
    Lane& broken = committer_->lane("broken");
    Lane& well = committer_->lane("well");
    committer_->start();
    ASSERT_TRUE(well.commit([](PendingCommit& open) { open.txn.put_meta("before", "1"); }).ok());
    try {
      auto held = broken.hold();
      held.open().txn.put_meta("half", "1");
      if (throws) throw std::runtime_error("in the middle");
      held.tear();
    } catch (const std::runtime_error&) {
    }
    const auto after = well.commit([](PendingCommit& open) { open.txn.put_meta("after", "1"); });
    ASSERT_FALSE(after.ok());
    EXPECT_EQ(after.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(well.wait_durable({}).error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(committer_->stop()) << "something was put in that is not durable";
    EXPECT_TRUE(broken_.has_value());
    EXPECT_EQ(meta("before") + meta("half") + meta("after"), "1");
    broken_.reset();
  }
}

// An exception that was under way before is no part of what was done under the hold.
TEST_F(CommitterTest, AHoldWhileAnExceptionUnwindsIsWhole) {
  Lane& lane = committer_->lane("lane");
  struct Writes {
    Lane& lane;
    ~Writes() { lane.hold().open().txn.put_meta("last", "1"); }
  };
  try {
    const Writes writes{lane};
    throw std::runtime_error("elsewhere");
  } catch (const std::runtime_error&) {
  }
  ASSERT_TRUE(committer_->step().ok());
  EXPECT_EQ(meta("last"), "1");
}

TEST_F(CommitterTest, AFullLaneWaitsAndTheOthersDoNot) {
  CommitterOptions small;
  small.max_pending_bytes = 10'000;
  begin(small);
  Lane& full = committer_->lane("full");
  Lane& free = committer_->lane("free");
  {
    auto held = full.hold();
    held.open().append_numbered(Log::kDeadLetters, kJournalPartition, std::string(10'001, 'x'));
    EXPECT_FALSE(held.wait_for_room(1000));
  }
  EXPECT_TRUE(free.hold().wait_for_room(1000));
  committer_->start();
  EXPECT_TRUE(full.hold().wait_for_room(10'000'000)) << "once it is committed";
  EXPECT_TRUE(committer_->stop());
  EXPECT_EQ(store_->last_seq(Log::kDeadLetters, kJournalPartition).value(), Seq{1});
}

// The child: replies as fast as it can, one thread a spool, until it is killed, or stops by itself
// after `clean_after` replies.
[[noreturn]] void reply_until_killed(const StoreOptions& options, uint64_t first, int pipe,
                                     uint64_t clean_after) {
  MetricRegistry metrics;
  auto store = Store::open(options, metrics).value();
  auto committer = std::make_unique<Committer>(*store, real_clock(), metrics, CommitterOptions());
  QW_ASSERT(committer->open().ok());
  std::vector<Spool*> spools;
  for (int writer = 0; writer < 2; ++writer) spools.push_back(committer->spool().value());
  committer->start();
  // Each has every second number.
  const auto reply = [&](size_t writer) {
    for (uint64_t seq = first + writer, left = clean_after; left > 0; seq += 2, --left) {
      while (!spools[writer]
                  ->append(Log::kDecisions, PartitionId{static_cast<uint32_t>(writer + 1)},
                           Seq{seq}, fmt::format("reply {}", seq))
                  .ok())
        real_clock().sleep_us(100);
      QW_ASSERT(::write(pipe, &seq, sizeof seq) == sizeof seq);
    }
  };
  {
    const std::jthread other([&] { reply(1); });
    reply(0);
  }
  QW_ASSERT(committer->stop());
  committer.reset();
  store.reset();
  ::_exit(0);
}

TEST_F(CommitterTest, EveryReplyHasItsRecordOnceWhateverEndsTheProcess) {
  committer_.reset();
  store_.reset();
  Random random(5);
  uint64_t killed_with_spools = 0;
  std::set<uint64_t> replied;
  for (int life = 0; life < 12; ++life) {
    const bool clean = life % 3 == 2;
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const uint64_t first = replied.empty() ? 1 : *replied.rbegin() + 100;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      reply_until_killed(options_, first, ends[1], clean ? 300 : UINT64_MAX);
    }
    ::close(ends[1]);
    const uint64_t most = clean ? 600 : 1 + random.below(3000);
    uint64_t seq = 0;
    for (uint64_t i = 0; i < most; ++i) {
      ASSERT_EQ(::read(ends[0], &seq, sizeof seq), static_cast<ssize_t>(sizeof seq));
      ASSERT_TRUE(replied.insert(seq).second);
    }
    if (!clean) ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(WIFEXITED(status), clean);
    while (::read(ends[0], &seq, sizeof seq) == static_cast<ssize_t>(sizeof seq))
      replied.insert(seq);
    ::close(ends[0]);
    const bool left = !std::filesystem::is_empty(options_.folder + "/spool");
    EXPECT_FALSE(clean && left) << "a clean end leaves no spool";
    killed_with_spools += left ? 1 : 0;
    begin();  // what a start brings in
    std::set<uint64_t> found;
    for (const uint32_t writer : {1u, 2u})
      ASSERT_TRUE(store_
                      ->scan(Log::kDecisions, PartitionId{writer}, Seq{1}, Seq{~0ull},
                             [&](Seq at, std::string_view record) {
                               EXPECT_EQ(record, fmt::format("reply {}", at.value()));
                               EXPECT_TRUE(found.insert(at.value()).second);
                               return true;
                             })
                      .ok());
    for (const uint64_t one : replied) ASSERT_TRUE(found.contains(one)) << "life " << life;
    // At most one of each writer was put away and not told of any more.
    ASSERT_LE(found.size(), replied.size() + 2);
    replied = found;
    committer_.reset();
    store_.reset();
  }
  EXPECT_GT(killed_with_spools, 0u);
}

}  // namespace
}  // namespace qw::store
