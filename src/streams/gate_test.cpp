// Aim: facts follow the written rules, are the same after a restart, and bad times move nothing.
// Method: tables of events with the status each must get; restarts through the saved values, and
// once through a real store.
#include "streams/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/bytes.h"
#include "base/env.h"
#include "store/store.h"

namespace qw::streams {
namespace {

using schema::EventStatus;
using schema::Field;
using testing::HasSubstr;

constexpr int64_t kS = 1'000'000;
constexpr int64_t kNow = 1'700'000'000 * kS;

std::shared_ptr<const schema::Schema> events() {
  static const auto schema = std::make_shared<schema::Schema>(schema::Schema({
      Field{"id", schema::kString, true},
      Field{"v", schema::kDouble, true},
      Field{"c", schema::kString, true},
      Field{"ts", schema::kTimestamp, true},
  }));
  return schema;
}

GateOptions options() {
  GateOptions options;
  options.source = "tx";
  options.schema = events();
  options.event_time = "ts";
  options.event_id = "id";
  options.allowed_lateness_us = 30 * kS;
  options.dedup_horizon_us = 320 * kS;
  return options;
}

struct In {
  schema::Value id;
  int64_t ts_us;
  schema::Value v = 1.0;
  schema::Value c = std::string("x");
};

SourceBatch batch_of(const std::vector<In>& rows, uint64_t first_position = 0) {
  SourceBatch batch(events());
  for (const In& in : rows) {
    batch.rows.append_row({in.id, in.v, in.c, in.ts_us});
    if (first_position > 0) batch.positions.push_back(first_position++);
  }
  return batch;
}

std::vector<EventStatus> statuses(const Gated& gated) {
  std::vector<EventStatus> out;
  for (const auto& facts : gated.events.facts) out.push_back(facts.status);
  return out;
}

// A gate whose disk always answers.
struct Tested : Gate {
  explicit Tested(Gate&& gate) : Gate(std::move(gate)) {}
  Gated admit(PartitionId partition, SourceBatch&& batch, KnownAt known_at) {
    auto gated = Gate::admit(partition, std::move(batch), known_at);
    EXPECT_TRUE(gated.ok());
    return std::move(gated).value();
  }
};

Tested make(GateOptions o = options()) {
  auto gate = Gate::make(std::move(o));
  EXPECT_TRUE(gate.ok()) << gate.error().to_string();
  return Tested(std::move(gate).value());
}

std::string id(const char* text) { return text; }
constexpr PartitionId kP{3};

TEST(Gate, JudgesLatenessAgainstTheWatermark) {
  Tested gate = make();
  const auto out = gate.admit(kP,
                              batch_of({{id("a"), kNow},
                                        {id("b"), kNow},                // equal is not late
                                        {id("c"), kNow - 1},            // late, repairs
                                        {id("d"), kNow - 30 * kS},      // exactly at the limit
                                        {id("e"), kNow - 30 * kS - 1},  // beyond it
                                        {id("f"), kNow + 5},
                                        {id("g"), kNow - 30 * kS}}),
                              KnownAt{kNow + 5});
  EXPECT_THAT(statuses(out),
              testing::ElementsAre(EventStatus::kOk, EventStatus::kOk, EventStatus::kLateRepaired,
                                   EventStatus::kLateRepaired, EventStatus::kLateDropped,
                                   EventStatus::kOk, EventStatus::kLateDropped));
  EXPECT_EQ(gate.watermark(kP).value(), kNow + 5);
  EXPECT_EQ(out.events.facts[6].seq.value(), 7u);
  EXPECT_EQ(out.events.facts[0].known_at.value(), kNow + 5);
}

TEST(Gate, BuriesTheFutureAndTheAbsurdAndMovesNoWatermark) {
  Tested gate = make();
  const auto out = gate.admit(kP,
                              batch_of({{id("ok"), kNow},
                                        {id("edge"), kNow + 60 * kS},
                                        {id("f"), kNow + 60 * kS + 1},
                                        {id("year"), kNow + 365 * 86'400 * kS},
                                        {id("old"), kMinEventTimeUs - 1},
                                        {id("max"), INT64_MAX},
                                        {id("min"), INT64_MIN}}),
                              KnownAt{kNow});
  EXPECT_EQ(out.events.facts.size(), 2u);
  EXPECT_EQ(gate.watermark(kP).value(), kNow);  // the one ahead moves it no further than now
  ASSERT_EQ(out.dead_letters.size(), 5u);
  EXPECT_THAT(out.dead_letters[1].reason, HasSubstr("31536000 s ahead of its arrival"));
  EXPECT_THAT(out.dead_letters[1].raw, HasSubstr("\"id\":\"year\""));
  EXPECT_EQ(gate.counts().future, 2u);
  EXPECT_EQ(gate.counts().absurd_time, 3u);
  // Their ids stay free: the corrected event is no duplicate.
  const auto again = gate.admit(kP, batch_of({{id("year"), kNow + 60 * kS}}), KnownAt{kNow});
  EXPECT_THAT(statuses(again), testing::ElementsAre(EventStatus::kOk));
}

TEST(Gate, ANullEventTimeIsBuried) {
  Tested gate = make();
  SourceBatch batch(events());
  batch.rows.append_row({id("a"), 1.0, id("x"), {}});
  const auto out = gate.admit(kP, std::move(batch), KnownAt{kNow});
  ASSERT_EQ(out.dead_letters.size(), 1u);
  EXPECT_THAT(out.dead_letters[0].reason, HasSubstr("is null"));
}

TEST(Gate, CountsDuplicatesOnceWithinTheHorizonAlsoAcrossPartitions) {
  Tested gate = make();
  const auto feed = [&](PartitionId partition, In in, int64_t known_us) {
    return statuses(gate.admit(partition, batch_of({in}), KnownAt{known_us})).at(0);
  };
  EXPECT_EQ(feed(kP, {id("a"), kNow}, kNow), EventStatus::kOk);
  EXPECT_EQ(feed(kP, {id("a"), kNow}, kNow + kS), EventStatus::kDuplicate);
  EXPECT_EQ(feed(PartitionId{4}, {id("a"), kNow}, kNow + kS), EventStatus::kDuplicate);
  EXPECT_EQ(feed(kP, {id("a"), kNow + 320 * kS}, kNow + 320 * kS), EventStatus::kDuplicate);
  // Past the horizon the id is new again, and remembered anew.
  EXPECT_EQ(feed(kP, {id("a"), kNow + 321 * kS}, kNow + 321 * kS), EventStatus::kOk);
  EXPECT_EQ(feed(kP, {id("a"), kNow + 340 * kS}, kNow + 340 * kS), EventStatus::kDuplicate);
  // Rows without an id are never duplicates.
  EXPECT_EQ(feed(kP, {{}, kNow + 340 * kS}, kNow + 340 * kS), EventStatus::kOk);
  EXPECT_EQ(feed(kP, {{}, kNow + 340 * kS}, kNow + 340 * kS), EventStatus::kOk);
}

// Beyond memory, and over a restart, in a real store.
TEST(Gate, KeepsThePromisedHorizonBeyondMemory) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "gate_horizon";
  std::filesystem::remove_all(folder);
  MetricRegistry metrics;
  store::StoreOptions store_options;
  store_options.folder = folder.string();
  GateOptions o = options();
  o.dedup_memory_bytes = 10'000;
  constexpr int kIds = 5'000;
  for (const bool first : {true, false}) {
    auto store = store::Store::open(store_options, metrics);
    ASSERT_TRUE(store.ok()) << store.error().to_string();
    Tested gate = make(o);
    ASSERT_TRUE(gate.restore(**store).ok());
    for (int i = 0; i < kIds; i += 10) {
      std::vector<In> rows;
      for (int n = i; n < i + 10; ++n) rows.push_back({std::to_string(n), kNow});
      const auto out = gate.admit(kP, batch_of(rows), KnownAt{kNow + i});
      EXPECT_THAT(statuses(out), testing::Each(first ? EventStatus::kOk : EventStatus::kDuplicate));
      store::Txn txn;
      gate.stage(txn);
      ASSERT_TRUE((*store)->commit(txn, store::Durability::kProcess).ok());
    }
    EXPECT_LE(gate.ids().in_memory(), 150u);
    EXPECT_GE(gate.ids().on_disk(), kIds - 150u);
  }
  std::filesystem::remove_all(folder);
}

TEST(Gate, IgnoresPositionsItHasSeen) {
  Tested gate = make();
  gate.admit(kP, batch_of({{id("a"), kNow}, {id("b"), kNow}}, 10), KnownAt{kNow});
  const auto out = gate.admit(kP, batch_of({{id("b"), kNow}, {id("c"), kNow}}, 11), KnownAt{kNow});
  ASSERT_EQ(out.events.facts.size(), 1u);
  EXPECT_EQ(out.events.facts[0].seq.value(), 12u);
  EXPECT_EQ(gate.counts().replayed, 1u);
}

Expectation rule(const char* column, decltype(Expectation::rule) rule, OnFail on_fail) {
  return Expectation{column, std::move(rule), on_fail};
}

// What another member of a group took in an hour ago is judged as it was there: ids that came again
// after the horizon are new, and a sender ahead of the clock moves no watermark past its arrival.
TEST(Gate, JudgesWhatIsReadAgainByItsOwnArrival) {
  GateOptions o = options();
  o.max_future_us = 60 * kS;
  const int64_t then = kNow - 3'600 * kS;
  const std::vector<In> rows = {{id("a"), then},
                                {id("b"), then + 50 * kS},
                                {id("a"), then + 400 * kS},
                                {id("a"), then + 401 * kS}};
  const std::vector<int64_t> arrivals = {then, then + kS, then + 400 * kS, then + 401 * kS};
  Tested at_once = make(o), again = make(o);
  std::vector<EventStatus> judged;
  for (size_t i = 0; i < rows.size(); ++i)
    judged.push_back(
        statuses(at_once.admit(kP, batch_of({rows[i]}, i + 1), KnownAt{arrivals[i]})).front());
  SourceBatch batch = batch_of(rows, 1);
  batch.arrived_us = arrivals;
  const Gated out = again.admit(kP, std::move(batch), KnownAt{kNow});
  EXPECT_EQ(statuses(out), judged);
  EXPECT_EQ(judged.back(), EventStatus::kDuplicate);
  EXPECT_EQ(judged[2], EventStatus::kOk) << "after the horizon";
  EXPECT_EQ(again.watermark(kP), at_once.watermark(kP));
  EXPECT_EQ(out.events.facts[0].known_at.value(), then);
}

// Before the first batch nobody knows whether ids age by the clock or by their history.
TEST(Gate, ATickBeforeTheFirstBatchForgetsNoHistory) {
  Tested gate = make();
  SourceBatch history = batch_of({{id("a"), kNow - 9'000 * kS}}, 1);
  history.imported = true;
  gate.admit(kP, std::move(history), KnownAt{kNow});
  Tested next = make();
  for (const auto& [name, value] : gate.take_changes().put)
    EXPECT_TRUE(next.restore_value(name, value).ok());
  next.tick(KnownAt{kNow + kS});
  SourceBatch more = batch_of({{id("a"), kNow - 9'000 * kS + kS}}, 2);
  more.imported = true;
  EXPECT_THAT(statuses(next.admit(kP, std::move(more), KnownAt{kNow + 2 * kS})),
              testing::ElementsAre(EventStatus::kDuplicate));
}

TEST(Gate, MeetsExpectations) {
  GateOptions o = options();
  o.expectations = {rule("v", Between{0.0, 100.0}, OnFail::kQuarantine),
                    rule("v", Between{{}, 90.0}, OnFail::kWarn),
                    rule("c", InSet{{"x", "y", "drop-me"}}, OnFail::kNull),
                    rule("c", Matches{"[a-z]|x-.*"}, OnFail::kDrop)};
  Tested gate = make(o);
  const auto out = gate.admit(kP,
                              batch_of({{id("a"), kNow, 100.0},
                                        {id("b"), kNow, 100.5},
                                        {id("c"), kNow, 1.0, id("z")},
                                        {id("d"), kNow, 1.0, id("drop-me")},
                                        {id("e"), kNow, schema::Value{}, schema::Value{}}}),
                              KnownAt{kNow});
  EXPECT_THAT(statuses(out), testing::ElementsAre(EventStatus::kOk, EventStatus::kQuarantined,
                                                  EventStatus::kOk, EventStatus::kOk));
  EXPECT_FALSE(out.events.rows.column(2).valid(2));
  EXPECT_EQ(out.events.rows.column(0).string_at(3), "e");
  EXPECT_THAT(out.dead_letters.at(0).reason, HasSubstr("v = 100.5 is not between 0 and 100"));
  EXPECT_EQ(gate.counts().warned, 2u);
  EXPECT_EQ(gate.counts().nulled, 1u);
  EXPECT_EQ(gate.counts().dropped, 1u);
  // Quarantined and dropped events do not hold their ids.
  const auto again = gate.admit(kP, batch_of({{id("b"), kNow}, {id("d"), kNow}}), KnownAt{kNow});
  EXPECT_THAT(statuses(again), testing::ElementsAre(EventStatus::kOk, EventStatus::kOk));
}

TEST(Gate, RefusesOptionsThatCannotWork) {
  const auto refused = [](void (*change)(GateOptions&)) {
    GateOptions o = options();
    change(o);
    return !Gate::make(o).ok();
  };
  EXPECT_TRUE(refused([](GateOptions& o) { o.event_time = "v"; }));
  EXPECT_TRUE(refused([](GateOptions& o) { o.event_time = "nope"; }));
  EXPECT_TRUE(refused([](GateOptions& o) { o.event_id = "v"; }));
  EXPECT_TRUE(refused([](GateOptions& o) { o.allowed_lateness_us = -1; }));
  EXPECT_TRUE(refused([](GateOptions& o) { o.dedup_horizon_us = 0; }));
  EXPECT_TRUE(refused([](GateOptions& o) {
    o.expectations = {rule("c", Between{0.0, 1.0}, OnFail::kWarn)};
  }));
  EXPECT_TRUE(refused(
      [](GateOptions& o) { o.expectations = {rule("c", Matches{"(((("}, OnFail::kWarn)}; }));
  EXPECT_TRUE(
      refused([](GateOptions& o) { o.expectations = {rule("ts", NotNull{}, OnFail::kNull)}; }));
}

TEST(Gate, MovesIdleWatermarksByTicks) {
  GateOptions o = options();
  o.idle_after_us = 10 * kS;
  Tested gate = make(o);
  gate.admit(kP, batch_of({{id("a"), kNow}}), KnownAt{kNow});
  gate.tick(KnownAt{kNow + 9 * kS});
  EXPECT_EQ(gate.watermark(kP).value(), kNow);
  gate.tick(KnownAt{kNow + 25 * kS});
  EXPECT_EQ(gate.watermark(kP).value(), kNow + 15 * kS);
  gate.tick(KnownAt{kNow + 5 * kS});  // the clock was set back
  EXPECT_EQ(gate.watermark(kP).value(), kNow + 15 * kS);
}

TEST(Gate, TakesImportedHistoryAtItsOwnTime) {
  GateOptions o = options();
  o.assumed_delay_us = 2 * kS;
  Tested gate = make(o);
  SourceBatch batch = batch_of({{id("a"), 1000 * kS}, {id("a"), 1001 * kS}, {id("a"), 2000 * kS}});
  batch.imported = true;
  const auto out = gate.admit(kP, std::move(batch), KnownAt{kNow});
  EXPECT_THAT(statuses(out),
              testing::ElementsAre(EventStatus::kOk, EventStatus::kDuplicate, EventStatus::kOk));
  EXPECT_EQ(out.events.facts[0].known_at.value(), 1002 * kS);
}

TEST(Gate, ImportedHistoryIsLateOnlyWhenAskedFor) {
  for (const bool asked : {false, true}) {
    GateOptions o = options();
    o.imported_is_late = asked;
    Tested gate = make(o);
    SourceBatch batch = batch_of({{id("a"), 1000 * kS}, {id("b"), 960 * kS}, {id("c"), 1001 * kS}});
    batch.imported = true;
    EXPECT_THAT(statuses(gate.admit(kP, std::move(batch), KnownAt{kNow})),
                testing::ElementsAre(EventStatus::kOk,
                                     asked ? EventStatus::kLateDropped : EventStatus::kLateRepaired,
                                     EventStatus::kOk));
  }
}

TEST(Gate, TellsOfLateEventsAsAskedFor) {
  for (const LateEvents late : {LateEvents::kLog, LateEvents::kDecide, LateEvents::kDeadLetter}) {
    GateOptions o = options();
    o.late = late;
    Tested gate = make(o);
    const auto out =
        gate.admit(kP, batch_of({{id("a"), kNow}, {id("b"), kNow - 31 * kS}}), KnownAt{kNow});
    EXPECT_THAT(statuses(out), testing::ElementsAre(EventStatus::kOk, EventStatus::kLateDropped));
    EXPECT_EQ(gate.counts().late_dropped, 1u);
    ASSERT_EQ(out.dead_letters.size(), late == LateEvents::kDeadLetter ? 1u : 0u);
    if (late != LateEvents::kDeadLetter) continue;
    EXPECT_THAT(out.dead_letters[0].reason, HasSubstr("is 31 s behind the newest"));
    EXPECT_THAT(out.dead_letters[0].reason, HasSubstr("allowed_lateness is 30 s"));
  }
}

// One row a year ahead, of history: neither its neighbours' lateness nor their ids suffer.
TEST(Gate, AStrangerInHistoryCostsNobodyElse) {
  Tested gate = make();
  std::vector<In> rows;
  for (int i = 0; i < 400; ++i) rows.push_back({std::to_string(i), kNow - 86'400 * kS + i * kS});
  rows[50].ts_us += 365 * 86'400 * kS / 2;
  rows[50].ts_us = std::min(rows[50].ts_us, kNow - kS);
  SourceBatch batch = batch_of(rows);
  batch.imported = true;
  EXPECT_THAT(statuses(gate.admit(kP, std::move(batch), KnownAt{kNow})),
              testing::Each(EventStatus::kOk));
  SourceBatch again = batch_of({rows[40], rows[399], rows[300]});
  again.imported = true;
  EXPECT_THAT(statuses(gate.admit(kP, std::move(again), KnownAt{kNow})),
              testing::ElementsAre(EventStatus::kLateDropped, EventStatus::kDuplicate,
                                   EventStatus::kDuplicate));
}

// What earlier versions wrote for a partition: watermark, last seq, last known_at.
TEST(Gate, ReadsAPartitionOfTheFirstVersion) {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.i64(kNow);
  writer.u64(7);
  writer.i64(kNow + 1);
  seal_record(40, 1, body, sealed);
  Tested gate = make();
  ASSERT_TRUE(gate.restore_value("gate/tx/p/3", sealed).ok());
  EXPECT_EQ(gate.watermark(kP).value(), kNow);
  EXPECT_EQ(gate.last_seq(kP).value(), 7u);
  const auto out = gate.admit(kP, batch_of({{id("a"), kNow - 31 * kS}}, 8), KnownAt{kNow});
  EXPECT_THAT(statuses(out), testing::ElementsAre(EventStatus::kLateDropped));
  sealed.clear();
  seal_record(40, 3, body, sealed);
  EXPECT_FALSE(make().restore_value("gate/tx/p/3", sealed).ok());
}

using Saved = std::map<std::string, std::string>;
void save(Gate& gate, Saved& saved) {
  auto changes = gate.take_changes();
  for (auto& [name, value] : changes.put) saved[name] = value;
  for (const auto& name : changes.erase) saved.erase(name);
}

// A stream with late, repeated, future and plain events, the same for the same seed.
std::vector<std::pair<In, int64_t>> story(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<std::pair<In, int64_t>> out;
  int64_t now_us = kNow;
  for (size_t i = 0; i < count; ++i) {
    now_us += static_cast<int64_t>(random.below(2 * kS));
    const auto back_us = static_cast<int64_t>(random.below(50 * kS));
    const int64_t ahead_us = random.below(20) == 0 ? 70 * kS : 0;
    out.push_back({{std::to_string(random.below(300)), now_us - back_us + ahead_us}, now_us});
  }
  return out;
}

TEST(Gate, ARestartAtAnyCommitChangesNoFact) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const auto rows = story(seed, 1500);
    Tested undisturbed = make();
    Tested gate = make();
    Saved saved;
    Random random(seed + 100);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto wanted =
          undisturbed.admit(kP, batch_of({rows[i].first}, i + 1), KnownAt{rows[i].second});
      const auto found = gate.admit(kP, batch_of({rows[i].first}, i + 1), KnownAt{rows[i].second});
      ASSERT_EQ(statuses(found), statuses(wanted)) << "seed " << seed << " row " << i;
      if (random.below(7) == 0) save(gate, saved);
      if (random.below(40) != 0) continue;
      save(gate, saved);
      gate = make();
      for (const auto& [name, value] : saved) ASSERT_TRUE(gate.restore_value(name, value).ok());
    }
    EXPECT_EQ(gate.watermark(kP), undisturbed.watermark(kP));
    // What expired left the store too.
    EXPECT_LT(saved.size(), 200u);
    EXPECT_GT(undisturbed.counts().duplicate, 100u);
    EXPECT_GT(undisturbed.counts().late_dropped, 100u);
  }
}

TEST(Gate, RefusesDamagedState) {
  Tested gate = make();
  gate.admit(kP, batch_of({{id("a"), kNow}}), KnownAt{kNow});
  Saved saved;
  save(gate, saved);
  ASSERT_EQ(saved.size(), 2u);
  for (auto [name, value] : saved) {
    value.back() = static_cast<char>(value.back() ^ 1);
    Tested fresh = make();
    EXPECT_FALSE(fresh.restore_value(name, value).ok()) << name;
  }
}

TEST(Gate, KeepsItsStateInTheStore) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "gate_store";
  std::filesystem::remove_all(folder);
  MetricRegistry metrics;
  store::StoreOptions store_options;
  store_options.folder = folder.string();
  for (const bool first : {true, false}) {
    auto store = store::Store::open(store_options, metrics);
    ASSERT_TRUE(store.ok()) << store.error().to_string();
    Tested gate = make();
    ASSERT_TRUE(gate.restore(**store).ok());
    const auto out = gate.admit(kP, batch_of({{id("a"), kNow}}), KnownAt{kNow});
    EXPECT_THAT(statuses(out),
                testing::ElementsAre(first ? EventStatus::kOk : EventStatus::kDuplicate));
    store::Txn txn;
    gate.stage(txn);
    ASSERT_TRUE((*store)->commit(txn, store::Durability::kProcess).ok());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace qw::streams
