// Aim: an entity is one however its events are spread over partitions, whatever memory allows, also
// after a start; what is read is what a look at every event says. Method: random events of a few
// keys in three partitions that run apart, read at each event and at the end, against a naive scan.
#include "features/online/entities.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <tuple>

#include "base/bytes.h"
#include "base/env.h"
#include "features/online/view_states.h"

namespace qw::features {
namespace {

constexpr int64_t kSecond = 1'000'000;

std::shared_ptr<const schema::Schema> source() {
  return std::make_shared<const schema::Schema>(std::vector<schema::Field>{
      {"k", schema::kString}, {"i", schema::kInt64}, {"s", schema::kString}});
}

struct Event {
  int64_t time = 0;
  uint32_t partition = 0;
  uint64_t seq = 0;
  std::string key;
  int64_t i = 0;
  auto place() const { return std::tuple(time, partition, seq); }
};

class EntitiesTest : public ::testing::TestWithParam<size_t> {
 protected:
  EntitiesTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-entities-XXXXXX";
    options_.folder = ::mkdtemp(pattern.data());
    const ViewDefinition definition{"v",
                                    "src",
                                    {"k"},
                                    {"5s", "40s"},
                                    {{"n", "count()"},
                                     {"sum", "sum(i)"},
                                     {"new", "last(s)"},
                                     {"old", "first(i)"},
                                     {"who", "count_distinct(s)"}}};
    view_ = View::compile(definition, source(), 10 * kSecond).value();
    worker_.emplace(view_);
    open();
  }
  ~EntitiesTest() override {
    close();
    std::filesystem::remove_all(options_.folder);
  }

  void open() {
    store_ = store::Store::open(options_, metrics_).value();
    memory_ = std::make_shared<store::MemoryBudget>(GetParam());
    entities_ = std::make_unique<Entities>(view_, 0, memory_);
    for (uint32_t number = 0; number < 3; ++number) {
      FeaturePartition& partition = partitions_[number] = FeaturePartition();
      partition.number = 10 + number;
      partition.id = PartitionId{7 - number};  // ids say nothing of the order
      partition.last = &last_[number];
      partition.lost = {FeaturePartition::kNone};
      store::KeyedTableOptions table;
      table.owner = "view/v@1";
      table.partition = partition.id;
      table.memory = memory_;
      partition.views.push_back(std::make_shared<store::KeyedTable>(
          *store_, table, std::make_shared<ViewStateKind>(*store_, view_, source())));
      partition.entities.push_back(entities_.get());
    }
    // Not in their order either.
    for (const size_t number : {1, 2}) ASSERT_TRUE(entities_->add(partitions_[number]).ok());
    if (!first_comes_later_) {
      ASSERT_TRUE(entities_->add(partitions_[0]).ok());
    }
  }
  void close() {
    entities_.reset();
    for (FeaturePartition& partition : partitions_) partition.views.clear();
    store_.reset();
  }
  void restart() {
    for (FeaturePartition& partition : partitions_) {
      store::Txn txn;
      ASSERT_TRUE(partition.views[0]
                      ->checkpoint_some(txn, store::KeyedTable::kAllAreDue, size_t{1} << 30)
                      .ok());
      ASSERT_TRUE(store_->commit(txn, store::Durability::kProcess).ok());
    }
    close();
    open();
  }

  void take(const Event& event) {
    events_.push_back(event);
    FeaturePartition& partition = partitions_[event.partition];
    last_[event.partition] = Seq{event.seq};
    schema::Batch rows(source());
    rows.append_row({event.key, event.i, fmt::format("t{}", event.i % 7)});
    const schema::EventFacts facts = facts_of(event);
    auto applied = Applied::kIgnored;
    EventTime missing;
    bool is_new = false;
    ASSERT_TRUE(partition.views[0]
                    ->apply<ViewState>(event.key, facts.seq, 0,
                                       [&](ViewState& state) {
                                         is_new = state.rows().is_new();
                                         applied = state.rows().apply(*worker_, rows, 0, facts);
                                         missing = state.rows().missing();
                                       })
                    .ok());
    entities_->followed(partition, event.key, rows, 0, facts, is_new, applied, missing);
    read(event);
  }
  schema::EventFacts facts_of(const Event& event) const {
    schema::EventFacts facts;
    facts.partition = partitions_[event.partition].id;
    facts.seq = Seq{event.seq};
    facts.event_time = EventTime{event.time};
    return facts;
  }

  // At the event, with all that is there.
  void read(const Event& event) {
    FeatureRow row;
    std::string text;
    const auto look = [&](const KeyState& state, const ReadPoint& point) {
      state.read(*worker_, point, row);
      text = row.cells[2].null ? "" : std::string(row.cells[2].text);
    };
    const ReadPoint point{EventTime{event.time}, Seq{event.seq}};
    const FeaturePartition& own = partitions_[event.partition];
    Entities::Holders holders;
    const auto elsewhere = entities_->read(own, event.key, point, look, holders);
    ASSERT_TRUE(elsewhere.ok()) << elsewhere.error().to_string();
    if (!*elsewhere) {
      ASSERT_TRUE(own.views[0]
                      ->with_state<ViewState>(
                          event.key, [&](const ViewState& state) { look(state.rows(), point); })
                      .ok());
    }
    check(event, row, text);
    check_holders(event, *elsewhere, holders);
  }
  void check(const Event& event, const FeatureRow& row, const std::string& newest) {
    for (const size_t window : {0, 1}) {
      std::vector<const Event*> inside;
      for (const Event& one : events_)
        if (one.key == event.key && one.place() <= event.place() &&
            one.time > event.time - (window == 0 ? 5 : 40) * kSecond)
          inside.push_back(&one);
      std::ranges::sort(inside, {}, [](const Event* one) { return one->place(); });
      const size_t at = window * 5;
      if (row.statuses[at] != FeatureStatus::kPresent) {
        ++incomplete_;
        continue;
      }
      int64_t sum = 0;
      std::set<int64_t> different;
      for (const Event* one : inside) {
        sum += one->i;
        different.insert(one->i % 7);
      }
      ASSERT_EQ(row.cells[at].i, static_cast<int64_t>(inside.size()));
      ASSERT_EQ(row.cells[at + 1].i, sum);
      if (window == 0) {
        ASSERT_EQ(newest, fmt::format("t{}", inside.back()->i % 7));
      }
      ASSERT_EQ(row.cells[at + 3].i, inside.front()->i);
      ASSERT_EQ(row.cells[at + 4].i, static_cast<int64_t>(different.size()));
      ++compared_;
    }
  }
  void check_holders(const Event& event, bool elsewhere, const Entities::Holders& holders) {
    std::set<uint32_t> expected, found;
    for (const Event& one : events_)
      if (one.key == event.key) expected.insert(10 + one.partition);
    for (const FeaturePartition* holder : holders) found.insert(holder->number);
    ASSERT_EQ(elsewhere, expected.size() > 1);
    if (elsewhere) {
      ASSERT_EQ(found, expected);
    }
  }

  MetricRegistry metrics_;
  store::StoreOptions options_;
  std::unique_ptr<store::Store> store_;
  std::shared_ptr<store::MemoryBudget> memory_;
  ViewPtr view_;
  std::optional<ViewWorker> worker_;
  std::array<FeaturePartition, 3> partitions_;
  std::array<Seq, 3> last_;
  std::unique_ptr<Entities> entities_;
  std::vector<Event> events_;
  bool first_comes_later_ = false;
  size_t compared_ = 0;
  size_t incomplete_ = 0;
};

// Partitions 0 and 1 keep step within the lateness; at the end partition 2 lags far behind.
TEST_P(EntitiesTest, AreOneInWhicheverPartitionsTheirEventsCome) {
  Random random(3);
  std::array<uint64_t, 3> seqs{};
  int64_t now = 1'000 * kSecond;
  for (int n = 0; n < 3'000; ++n) {
    now += static_cast<int64_t>(random.below(3)) * kSecond / 20;
    Event event;
    event.partition = static_cast<uint32_t>(random.below(n < 100 ? 1 : n < 2'500 ? 2 : 3));
    // A coarse grid: the same times come in several partitions.
    event.time = now - now % (kSecond / 10);
    if (random.below(6) == 0) event.time -= static_cast<int64_t>(random.below(6)) * kSecond;
    if (event.partition == 2) event.time -= 60 * kSecond;
    event.seq = ++seqs[event.partition];
    event.key = fmt::format("k{}", random.below(2) == 0 ? 0 : random.below(30));
    if (event.partition == 0 && n % 10 == 0) event.key = "home";
    event.i = static_cast<int64_t>(random.below(1'000));
    take(event);
    if (HasFatalFailure()) FAIL() << "event " << n;
    if (n == 1'000 || n == 2'600) restart();
  }
  EXPECT_GT(compared_, 4'500u);
  EXPECT_GT(incomplete_, 50u) << "of the one that lags";
  const size_t kept = entities_->kept();
  EXPECT_TRUE(GetParam() == 1 ? kept <= 1 : GetParam() < 1'000'000 || kept > 20) << kept;
}

// The newest events of an entity are far ahead of a partition that lacks nothing.
TEST_P(EntitiesTest, WhatLagsFarBehindIsWholeAsFarAsItsPartitionsAre) {
  const auto event = [](uint32_t partition, uint64_t seq, int64_t s) {
    return Event{s * kSecond, partition, seq, "split", static_cast<int64_t>(seq)};
  };
  for (uint64_t n = 1; n <= 6; ++n) take(event(0, n, 1'000 + static_cast<int64_t>(n)));
  for (uint64_t n = 1; n <= 50; ++n) take(event(1, n, 800 + static_cast<int64_t>(n)));
  EXPECT_EQ(incomplete_, 0u);
  EXPECT_EQ(compared_, 112u);
}

// Events of 11 and 12 are together when 10, which comes before them, is opened.
TEST_P(EntitiesTest, APartitionMayComeWhileTheyAreTogether) {
  first_comes_later_ = true;
  close();
  open();
  std::array<uint64_t, 3> seqs{};
  Random random(5);
  for (int n = 0; n < 400; ++n) {
    if (n == 200) {
      ASSERT_TRUE(entities_->add(partitions_[0]).ok());
    }
    Event event;
    event.partition = static_cast<uint32_t>(n < 200 ? 1 + random.below(2) : random.below(3));
    event.time = 1'000 * kSecond + n / 3 * kSecond;
    event.seq = ++seqs[event.partition];
    event.key = fmt::format("k{}", random.below(3));
    event.i = static_cast<int64_t>(random.below(1'000));
    take(event);
    if (HasFatalFailure()) FAIL() << "event " << n;
  }
  EXPECT_EQ(incomplete_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Memory, EntitiesTest, testing::Values(1, 60'000, 256'000'000));

TEST(KeyFilter, ForgetsNoKeyAndSeldomTakesAStrangerForOne) {
  KeyFilter filter;
  const auto hash = [](const char* kind, int n) {
    return checksum64(fmt::format("{}{}", kind, n));
  };
  EXPECT_FALSE(filter.may_hold(hash("key", 1)));
  constexpr int kKeys = 100'000;
  for (int round = 0; round < 2; ++round)
    for (int n = 0; n < kKeys; ++n) filter.add(hash("key", n));
  int strangers = 0;
  for (int n = 0; n < kKeys; ++n) {
    ASSERT_TRUE(filter.may_hold(hash("key", n)));
    strangers += filter.may_hold(hash("stranger", n)) ? 1 : 0;
  }
  EXPECT_LT(strangers, kKeys / 50);
  EXPECT_LT(filter.bytes(), size_t{kKeys} * 6);
}

}  // namespace
}  // namespace qw::features
