// Aim: a state in a keyed table is what applying every committed record to it, once and in order,
// gives; whatever was evicted, checkpointed, lost in a crash or replayed. Method: random records,
// checkpoints, late commit notices and crashes against a plain map that is never evicted and never
// crashes.
#include "store/keyed_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/env.h"

namespace qw::store {
namespace {

using ::testing::ElementsAre;

constexpr const char* kLowWater = "low_water";

// A chain of checksums shows any record that is missing, twice or out of order; the slots change
// size and place like real state does.
class Chain final : public KeyedState {
 public:
  void add(Seq seq, std::string_view record) {
    std::string link = std::to_string(chain) + "/" + std::to_string(seq.value()) + "/";
    chain = checksum64(link.append(record));
    slots.resize(1 + chain % 300);
    slots[(chain >> 32) % slots.size()] = chain;
  }
  std::string_view image(std::string& scratch) const override {
    scratch.clear();
    ByteWriter writer(scratch);
    writer.u64(chain);
    for (const uint64_t slot : slots) writer.u64(slot);
    return scratch;
  }
  size_t memory_bytes() const override { return sizeof(*this) + 8 * slots.capacity(); }

  uint64_t chain = 0;
  std::vector<uint64_t> slots;
};

class ChainKind final : public KeyedStateKind {
 public:
  std::unique_ptr<KeyedState> fresh(std::string_view) const override {
    return std::make_unique<Chain>();
  }
  Result<std::unique_ptr<KeyedState>> decode(std::string_view,
                                             std::string_view image) const override {
    auto state = std::make_unique<Chain>();
    ByteReader reader(image);
    state->chain = reader.u64();
    while (!reader.done()) state->slots.push_back(reader.u64());
    return std::unique_ptr<KeyedState>(std::move(state));
  }
  Result<void> replay(KeyedState& state, std::string_view, Seq seq,
                      std::string_view record) const override {
    static_cast<Chain&>(state).add(seq, record);
    return {};
  }
};

std::string image_of(const Chain& state) {
  std::string scratch;
  return std::string(state.image(scratch));
}

// A store, a table and the one transaction a pipeline keeps open.
class Pipeline {
 public:
  Pipeline(size_t memory_limit_bytes, int64_t replay_max_us)
      : options_{.owner = "view/v@1",
                 .partition = PartitionId{3},
                 .log = Log::kEvents,
                 .replay_max_us = replay_max_us,
                 .memory_limit_bytes = memory_limit_bytes} {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-keyed-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    start(true);
  }
  ~Pipeline() {
    table.reset();
    store.reset();
    std::filesystem::remove_all(folder_);
  }

  // A start with another kind and limit.
  void restart_with(std::shared_ptr<const KeyedStateKind> kind, int64_t load_limit_us) {
    kind_ = std::move(kind);
    options_.load_limit_us = load_limit_us;
    start(false);
  }
  // Everything in memory is lost; records that were not committed come again from the source.
  void crash(bool reopen_store) {
    start(reopen_store);
    const auto again = std::move(uncommitted_);
    uncommitted_.clear();
    for (const auto& [seq, key] : again) add(seq, key);
  }

  void add(uint64_t seq, const std::string& key) {
    const std::string record = key + "#" + std::to_string(seq);
    txn.append(options_.log, options_.partition, Seq{seq}, record);
    uncommitted_.emplace_back(seq, key);
    head = seq;
    const auto applied = table->apply<Chain>(key, Seq{seq}, now_us,
                                             [&](Chain& state) { state.add(Seq{seq}, record); });
    ASSERT_TRUE(applied.ok());
    ASSERT_TRUE(*applied);
  }
  CheckpointPass checkpoint(int64_t at_us, size_t budget_bytes) {
    const CheckpointPass pass = table->checkpoint_some(txn, at_us, budget_bytes).value();
    const uint64_t low = table->low_water(Seq{head}).value();
    EXPECT_GE(low, low_water);
    low_water = low;
    txn.put_meta(kLowWater, std::to_string(low));
    txn.trim(options_.log, options_.partition, Seq{0}, Seq{low + 1});
    ticket = pass.ticket;
    return pass;
  }
  void commit(bool tell_table) {
    ASSERT_TRUE(store->commit(txn, Durability::kProcess).ok());
    uncommitted_.clear();
    if (tell_table) table->committed(ticket);
  }

  MetricRegistry metrics;
  std::unique_ptr<Store> store;
  std::unique_ptr<KeyedTable> table;
  Txn txn;
  int64_t now_us = 0;
  uint64_t head = 0;
  uint64_t low_water = 0;
  uint64_t ticket = 0;

 private:
  void start(bool reopen_store) {
    table.reset();
    txn.clear();
    if (reopen_store) {
      store.reset();
      StoreOptions options;
      options.folder = folder_;
      store = Store::open(options, metrics).value();
    }
    table = std::make_unique<KeyedTable>(*store, options_, kind_);
    const auto low = store->get_meta(kLowWater).value();
    low_water = low.has_value() ? std::stoull(*low) : 0;
    head = low_water;
    ASSERT_TRUE(store
                    ->scan(options_.log, options_.partition, Seq{low_water + 1}, Seq{UINT64_MAX},
                           [&](Seq seq, std::string_view record) {
                             table->add_pending(record.substr(0, record.find('#')), seq);
                             head = seq.value();
                             return true;
                           })
                    .ok());
    ASSERT_TRUE(table->finish_recovery(now_us).ok());
  }

  KeyedTableOptions options_;
  std::shared_ptr<const KeyedStateKind> kind_ = std::make_shared<ChainKind>();
  std::string folder_;
  std::vector<std::pair<uint64_t, std::string>> uncommitted_;
};

std::string key_of(uint64_t number) {
  using namespace std::string_literals;
  return number == 0 ? ""s : number == 1 ? "\0"s : "key-" + std::to_string(number);
}

void run_random_life(uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  Pipeline pipeline(12'000 + random.below(60'000), 200'000);
  std::map<std::string, Chain> model;
  uint64_t seq = 0;
  const auto expect_equal = [&](const std::string& key) {
    const auto wanted = model.find(key);
    const auto seen = pipeline.table->with_state<Chain>(key, [&](const Chain& state) {
      EXPECT_NE(wanted, model.end());
      if (wanted != model.end()) {
        EXPECT_EQ(image_of(state), image_of(wanted->second));
      }
    });
    if (wanted == model.end()) {
      ASSERT_FALSE(seen.ok());
      ASSERT_EQ(seen.error().code, ErrorCode::kNotFound);
    } else {
      ASSERT_TRUE(seen.ok()) << seen.error().to_string();
    }
  };
  for (int step = 0; step < 1500 && !::testing::Test::HasFailure(); ++step) {
    pipeline.now_us += static_cast<int64_t>(random.below(4'000));
    const std::string key = key_of(random.below(random.below(10) == 0 ? 60 : 8));
    switch (random.below(9)) {
      case 0: pipeline.checkpoint(pipeline.now_us, random.below(6'000)); break;
      case 1: pipeline.commit(random.below(2) == 0); break;
      case 4: ASSERT_TRUE(pipeline.table->warm().ok()); break;
      case 2: expect_equal(key_of(random.below(60))); break;
      case 3:
        if (random.below(8) == 0) pipeline.crash(random.below(4) == 0);
        break;
      default:
        seq += 1 + random.below(3);
        pipeline.add(seq, key);
        model[key].add(Seq{seq}, key + "#" + std::to_string(seq));
        break;
    }
  }
  pipeline.crash(true);
  for (uint64_t number = 0; number < 60; ++number) expect_equal(key_of(number));
  EXPECT_EQ(pipeline.table->keys().value().size(), model.size());
}

// Two tables of one budget: the sum stays within it, the small one keeps what it has.
TEST(KeyedTable, TablesShareTheirMemory) {
  Pipeline pipeline(0, 1);
  const auto budget = std::make_shared<MemoryBudget>(200'000);
  const auto table_of = [&](const std::string& owner) {
    KeyedTableOptions options;
    options.owner = owner;
    options.partition = PartitionId{1};
    options.memory = budget;
    auto table =
        std::make_unique<KeyedTable>(*pipeline.store, options, std::make_shared<ChainKind>());
    EXPECT_TRUE(table->finish_recovery(0).ok());
    return table;
  };
  auto large = table_of("view/large"), small = table_of("view/small");
  const auto fill = [&](KeyedTable& table, size_t keys) {
    for (uint64_t seq = 1; seq <= keys; ++seq)
      ASSERT_TRUE(table
                      .apply<Chain>(std::to_string(seq), Seq{seq}, 0,
                                    [&](Chain& state) { state.add(Seq{seq}, "record"); })
                      .ok());
    const auto pass = table.checkpoint_some(pipeline.txn, KeyedTable::kAllAreDue, SIZE_MAX);
    ASSERT_TRUE(pass.ok());
    ASSERT_TRUE(pipeline.store->commit(pipeline.txn, Durability::kProcess).ok());
    for (int i = 0; i < 1'000; ++i) table.committed(pass->ticket);
  };
  fill(*small, 50);
  fill(*large, 5'000);
  EXPECT_LE(budget->used_bytes(), budget->limit_bytes());
  EXPECT_EQ(small->stats().in_memory, 50u);
  EXPECT_GT(large->stats().evictions, 4'000u);
  EXPECT_EQ(budget->evictions(), large->stats().evictions);
  EXPECT_EQ(budget->used_bytes(), small->stats().memory_bytes + large->stats().memory_bytes);
  large.reset();
  EXPECT_EQ(budget->used_bytes(), small->stats().memory_bytes);
}

TEST(KeyedTable, EqualsAPlainMapThroughEvictionsCheckpointsAndCrashes) {
  for (uint64_t seed = 1; seed <= 20 && !::testing::Test::HasFailure(); ++seed)
    run_random_life(seed);
}

TEST(KeyedTable, ARecordThatIsInTheStateAlreadyIsNotAppliedAgain) {
  Pipeline pipeline(1 << 20, 1'000'000);
  pipeline.add(7, "a");
  pipeline.commit(true);
  pipeline.crash(true);
  int changes = 0;
  for (const uint64_t seq : {6, 7, 8}) {
    const auto applied = pipeline.table->apply<Chain>("a", Seq{seq}, 0, [&](Chain&) { ++changes; });
    EXPECT_EQ(applied.value(), seq == 8);
  }
  EXPECT_EQ(changes, 1);
}

TEST(KeyedTable, EveryChangeIsOnDiskWithinReplayMaxAndTheWorkIsEven) {
  constexpr int64_t kReplayMax_us = 1'000'000;
  constexpr int64_t kCommit_us = 5'000;
  Pipeline pipeline(64 << 20, kReplayMax_us);
  std::map<uint64_t, int64_t> applied_at;  // seq -> when
  uint64_t seq = 0;
  size_t most = 0;
  size_t total = 0;
  int passes = 0;
  for (; pipeline.now_us < 5 * kReplayMax_us; pipeline.now_us += kCommit_us) {
    if (pipeline.now_us % 50'000 == 0)  // 100 keys change in the same moment
      for (int key = 0; key < 100; ++key) {
        pipeline.add(++seq, key_of(static_cast<uint64_t>(key)));
        applied_at[seq] = pipeline.now_us;
      }
    const CheckpointPass pass = pipeline.checkpoint(pipeline.now_us, 1 << 20);
    pipeline.commit(true);
    EXPECT_EQ(pass.behind_us, 0);
    if (pipeline.low_water < seq) {
      ASSERT_LE(pipeline.now_us - applied_at.at(pipeline.low_water + 1), kReplayMax_us);
    }
    if (pipeline.now_us < 2 * kReplayMax_us) continue;  // settled
    most = std::max(most, pass.states);
    total += pass.states;
    ++passes;
  }
  const double mean = static_cast<double>(total) / passes;
  EXPECT_GT(mean, 0.4);
  EXPECT_LT(static_cast<double>(most), 20 * mean) << "100 keys in step must not be written at once";
}

TEST(KeyedTable, MemoryStaysBoundedAndStatesNotOnDiskStay) {
  constexpr size_t kLimit = 200'000;
  Pipeline pipeline(kLimit, 1'000'000);
  uint64_t seq = 0;
  for (uint64_t key = 0; key < 1000; ++key) {
    pipeline.add(++seq, key_of(key));
    if (key % 20 != 19) continue;
    pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
    pipeline.commit(true);
    EXPECT_LE(pipeline.table->stats().memory_bytes, kLimit);
  }
  EXPECT_GT(pipeline.table->stats().evictions, 800u);
  for (uint64_t key = 0; key < 1000; ++key) pipeline.add(++seq, key_of(key));
  EXPECT_EQ(pipeline.table->stats().dirty, 1000u);
  EXPECT_EQ(pipeline.table->stats().in_memory, 1000u);
  // Written but not yet committed is not on disk either.
  pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
  EXPECT_EQ(pipeline.table->stats().dirty, 0u);
  EXPECT_EQ(pipeline.table->stats().in_memory, 1000u);
}

TEST(KeyedTable, PendingKeysCatchUpInTheBackground) {
  Pipeline pipeline(1 << 20, 1'000'000);
  for (uint64_t seq = 1; seq <= 50; ++seq) pipeline.add(seq, key_of(seq % 10));
  pipeline.commit(true);
  pipeline.crash(true);
  EXPECT_EQ(pipeline.table->stats().pending_keys, 10u);
  EXPECT_EQ(pipeline.table->stats().pending_records, 50u);
  EXPECT_EQ(pipeline.table->low_water(Seq{50}), Seq{0});
  // Those that changed last come first.
  EXPECT_TRUE(pipeline.table->warm().value());
  EXPECT_TRUE(pipeline.table->warm().value());
  EXPECT_EQ(pipeline.table->stats().pending_records, 40u);
  EXPECT_EQ(pipeline.table->stats().loads, 2u);
  for (const uint64_t key : {0, 9})
    ASSERT_TRUE(pipeline.table->with_state<Chain>(key_of(key), [](const Chain&) {}).ok());
  EXPECT_EQ(pipeline.table->stats().loads, 2u) << "in memory";
  // A pass writes what caught up; what did not has as long again.
  EXPECT_EQ(pipeline.checkpoint(pipeline.now_us + 1'000'000, SIZE_MAX).states, 2u);
  EXPECT_EQ(pipeline.low_water, 0u);
  while (pipeline.table->warm().value()) {
  }
  EXPECT_EQ(pipeline.checkpoint(pipeline.now_us + 1'000'000, SIZE_MAX).states, 8u);
  EXPECT_EQ(pipeline.low_water, 50u);
  pipeline.commit(true);
  pipeline.crash(true);
  EXPECT_EQ(pipeline.table->stats().pending_keys, 0u);
  EXPECT_FALSE(pipeline.table->warm().value());
}

TEST(KeyedTable, PendingKeysThatNobodyWarmsAreWrittenWithinTwiceReplayMax) {
  Pipeline pipeline(1 << 20, 1'000'000);
  for (uint64_t seq = 1; seq <= 50; ++seq) pipeline.add(seq, key_of(seq % 10));
  pipeline.commit(true);
  pipeline.crash(true);
  EXPECT_EQ(pipeline.checkpoint(pipeline.now_us + 1'000'000, SIZE_MAX).states, 0u);
  EXPECT_EQ(pipeline.checkpoint(pipeline.now_us + 2'000'000, SIZE_MAX).states, 10u);
  EXPECT_EQ(pipeline.low_water, 50u);
}

// Warmed while others apply and passes write: as if nobody had.
TEST(KeyedTable, WarmingBesideTheEventPathChangesNothing) {
  Pipeline pipeline(50'000, 200'000);
  std::map<std::string, Chain> model;
  uint64_t seq = 0;
  const auto add = [&](uint64_t key) {
    pipeline.add(++seq, key_of(key));
    model[key_of(key)].add(Seq{seq}, key_of(key) + "#" + std::to_string(seq));
  };
  Random random(11);
  for (int life = 0; life < 5; ++life) {
    std::atomic<bool> stop{false};
    std::jthread warms([&] {
      while (!stop) EXPECT_TRUE(pipeline.table->warm().ok());
    });
    for (int step = 0; step < 500; ++step) {
      pipeline.now_us += 1000;
      add(random.below(300));
      if (step % 10 == 0) pipeline.checkpoint(pipeline.now_us, 20'000);
      if (step % 10 == 5) pipeline.commit(true);
    }
    stop = true;
    warms.join();
    pipeline.commit(true);
    pipeline.crash(life % 2 == 0);
  }
  for (const auto& [key, wanted] : model)
    ASSERT_TRUE(pipeline.table
                    ->with_state<Chain>(key,
                                        [&](const Chain& state) {
                                          EXPECT_EQ(image_of(state), image_of(wanted)) << key;
                                        })
                    .ok());
}

TEST(KeyedTable, ACheckpointThatNoLowWaterFollowedIsNotReplayedOver) {
  // The checkpoint is committed, the low water beside it is not yet: finish_recovery drops what
  // the header says is applied.
  Pipeline pipeline(1 << 20, 1'000'000);
  pipeline.add(1, "a");
  pipeline.add(2, "b");
  ASSERT_TRUE(pipeline.table->checkpoint_some(pipeline.txn, KeyedTable::kAllAreDue, 1).ok());
  pipeline.commit(true);
  pipeline.crash(true);
  EXPECT_EQ(pipeline.table->stats().pending_keys, 1u);
  EXPECT_THAT(pipeline.table->keys().value(), ElementsAre("a", "b"));
}

TEST(KeyedTable, ReadersSeeWholeStatesWhileOneThreadApplies) {
  Pipeline pipeline(30'000, 10'000);
  for (uint64_t seq = 1; seq <= 20; ++seq) pipeline.add(seq, key_of(seq));
  std::atomic<bool> stop{false};
  std::atomic<int> looks{0};
  std::jthread reader([&] {
    Random random(5);
    while (!stop) {
      const auto seen =
          pipeline.table->with_state<Chain>(key_of(1 + random.below(20)), [&](const Chain& state) {
            EXPECT_EQ(state.slots[(state.chain >> 32) % state.slots.size()], state.chain);
          });
      EXPECT_TRUE(seen.ok());
      ++looks;
    }
  });
  for (uint64_t seq = 21; seq <= 3000 || looks < 100; ++seq) {
    pipeline.now_us += 500;
    pipeline.add(seq, key_of(1 + seq % 20));
    if (seq % 10 == 0) pipeline.checkpoint(pipeline.now_us, 20'000);
    if (seq % 10 == 0) pipeline.commit(true);
  }
  stop = true;
}

// A kind whose images are read no faster than the test wants.
class SlowKind final : public KeyedStateKind {
 public:
  std::unique_ptr<KeyedState> fresh(std::string_view key) const override {
    return inner.fresh(key);
  }
  Result<std::unique_ptr<KeyedState>> decode(std::string_view key,
                                             std::string_view image) const override {
    ++reads;
    while (key == slow && !go_on) std::this_thread::yield();
    return inner.decode(key, image);
  }
  Result<void> replay(KeyedState& state, std::string_view key, Seq seq,
                      std::string_view record) const override {
    return inner.replay(state, key, seq, record);
  }
  ChainKind inner;
  std::string slow;
  std::atomic<bool> go_on{false};
  mutable std::atomic<int> reads{0};
};

TEST(KeyedTable, OnlyWhoNeedsAKeyWaitsUntilItIsRead) {
  Pipeline pipeline(size_t{1} << 20, 1000);
  for (uint64_t seq = 1; seq <= 4; ++seq) pipeline.add(seq, seq % 2 == 0 ? "slow" : "other");
  pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
  pipeline.commit(true);
  const auto kind = std::make_shared<SlowKind>();
  kind->slow = "slow";
  pipeline.restart_with(kind, 20'000);
  const auto read = [&](const std::string& key) {
    return pipeline.table->with_state<Chain>(key, [](const Chain&) {});
  };
  std::atomic<bool> read_at_last{false};
  std::jthread reader([&] {
    EXPECT_TRUE(read("slow").ok());
    read_at_last = true;
  });
  while (kind->reads == 0) std::this_thread::yield();
  // The rest of the table goes on ...
  pipeline.add(5, "other");
  pipeline.add(6, "new");
  EXPECT_EQ(pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX).states, 2u);
  pipeline.commit(true);
  // ... and who needs the key does not wait for ever.
  const auto late = read("slow");
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  EXPECT_FALSE(read_at_last);
  std::jthread opens([&] {
    real_clock().sleep_us(2'000);
    kind->go_on = true;
  });
  pipeline.add(7, "slow");
  reader.join();
  EXPECT_EQ(kind->reads, 2) << "once for each key";
  Chain wanted;
  for (const uint64_t seq : {2, 4, 7}) wanted.add(Seq{seq}, "slow#" + std::to_string(seq));
  ASSERT_TRUE(
      pipeline.table
          ->with_state<Chain>(
              "slow", [&](const Chain& state) { EXPECT_EQ(image_of(state), image_of(wanted)); })
          .ok());
}

// A key that one thread looks for in vain, while another makes it.
TEST(KeyedTable, AKeyThatIsMadeWhileItIsLookedForIsOne) {
  Pipeline pipeline(size_t{1} << 20, 1000);
  std::atomic<bool> stop{false};
  std::jthread reader([&] {
    for (uint64_t number = 0; !stop; ++number) {
      const auto seen = pipeline.table->with_state<Chain>(
          key_of(number % 2000), [](const Chain& state) { EXPECT_NE(state.chain, 0u); });
      if (!seen.ok()) {
        EXPECT_EQ(seen.error().code, ErrorCode::kNotFound);
      }
    }
  });
  for (uint64_t seq = 1; seq <= 4000; ++seq) pipeline.add(seq, key_of(seq % 2000));
  stop = true;
  reader.join();
  EXPECT_EQ(pipeline.table->stats().in_memory, 2000u);
}

// A sweep erases what it may and nothing else; what comes for an erased key, before its end is on
// disk or after, begins anew, also after a crash.
TEST(KeyedTable, ASweepErasesWhatNobodyNeeds) {
  Pipeline pipeline(size_t{1} << 20, 1000);
  uint64_t seq = 0;
  for (uint64_t key = 0; key < 100; ++key) pipeline.add(++seq, key_of(key));
  pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
  pipeline.commit(true);
  pipeline.add(++seq, key_of(99));  // not on disk as it is: stays, whatever is said of it
  std::set<uint64_t> ended;
  for (uint64_t key = 0; key < 100; key += key % 2 + 1)
    ASSERT_TRUE(
        pipeline.table
            ->with_state<Chain>(key_of(key), [&](const Chain& state) { ended.insert(state.chain); })
            .ok());
  const auto all_keys = pipeline.table->keys().value();
  const auto sweep = [&](size_t at_once, size_t wanted) {
    size_t erased = 0;
    for (bool done = false; !done;) {
      const auto swept = pipeline.table->sweep<Chain>(
          pipeline.txn, at_once, [&](const Chain& state) { return ended.contains(state.chain); });
      ASSERT_TRUE(swept.ok());
      erased += swept->erased;
      pipeline.ticket = swept->ticket;
      done = swept->ended;
    }
    EXPECT_EQ(erased, wanted);
  };
  sweep(7, ended.size() - 1);
  pipeline.crash(true);  // before the commit: nothing happened
  EXPECT_EQ(pipeline.table->keys().value(), all_keys);
  pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
  pipeline.commit(true);
  sweep(1000, ended.size());
  const std::string before = key_of(0);
  pipeline.add(++seq, before);
  pipeline.checkpoint(KeyedTable::kAllAreDue, SIZE_MAX);
  pipeline.commit(true);
  Chain fresh;
  fresh.add(Seq{seq}, before + "#" + std::to_string(seq));
  for (const bool restarted : {false, true}) {
    if (restarted) pipeline.crash(true);
    ASSERT_TRUE(pipeline.table
                    ->with_state<Chain>(before,
                                        [&](const Chain& state) {
                                          EXPECT_EQ(image_of(state), image_of(fresh)) << restarted;
                                        })
                    .ok());
    EXPECT_EQ(pipeline.table->keys().value().size(), 100 - ended.size() + 1) << restarted;
  }
}

}  // namespace
}  // namespace qw::store
