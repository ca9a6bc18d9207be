// Aim: a key's features are right at the edges, the same whatever the order of arrival, cheap to
// page, and honest about what is missing. Method: small streams with known answers, permutations
// from seeds, and counted pages.
#include "features/stream/key_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "base/env.h"
#include "features/cell_text.h"

namespace qw::features {
namespace {

constexpr int64_t kSecond = 1'000'000;

struct Bed {
  std::shared_ptr<const schema::Schema> source =
      std::make_shared<const schema::Schema>(std::vector<schema::Field>{{"k", schema::kString},
                                                                        {"x", schema::kDouble},
                                                                        {"i", schema::kInt64},
                                                                        {"s", schema::kString}});
  ViewDefinition definition{"v",
                            "src",
                            {"k"},
                            {"10s", "60s"},
                            {{"n", "count()"},
                             {"sum", "sum(x)"},
                             {"isum", "sum(i)"},
                             {"var", "variance(x)"},
                             {"p", "quantile(x, 0.9)"},
                             {"who", "count_distinct(s)"},
                             {"last", "last(s)"},
                             {"lo", "min(s)"},
                             {"recent", "last_k(i, 2)"}}};
  ViewPtr view;
  std::optional<ViewWorker> worker;

  explicit Bed(int64_t lateness_us = 30 * kSecond) {
    auto compiled = View::compile(definition, source, lateness_us);
    QW_ASSERT(compiled.ok());
    view = *compiled;
    worker.emplace(view);
  }
  void recompile(int64_t lateness_us = 30 * kSecond) {
    auto compiled = View::compile(definition, source, lateness_us);
    QW_ASSERT(compiled.ok());
    view = *compiled;
    worker.emplace(view);
  }
  Applied apply(KeyState& state, int64_t time, uint64_t seq, schema::Value x, schema::Value i,
                schema::Value s) {
    schema::Batch rows(source);
    rows.append_row({std::string("key"), std::move(x), std::move(i), std::move(s)});
    return state.apply(*worker, rows, 0, facts(time, seq));
  }
  static schema::EventFacts facts(int64_t time, uint64_t seq) {
    return {PartitionId{0}, Seq{seq}, EventTime{time}, KnownAt{time}, schema::EventStatus::kOk};
  }
  std::string read(const KeyState& state, int64_t time, uint64_t seq = ReadPoint::kEverySeq,
                   uint64_t known = ReadPoint::kEverySeq) {
    FeatureRow row;
    state.read(*worker, {EventTime{time}, Seq{seq}, Seq{known}}, row);
    std::string text;
    for (size_t f = 0; f < row.cells.size(); ++f) {
      text += text_of(row.cells[f], view->features()[f].type);
      if (row.statuses[f] != FeatureStatus::kPresent)
        text += "(" + std::string(name_of(row.statuses[f])) + ")";
      text += " ";
    }
    return text;
  }
};

TEST(KeyState, WindowEdgesAndTies) {
  Bed bed;
  bed.definition.aggregates = {{"n", "count()"}};
  bed.definition.windows = {"10s"};
  bed.recompile();
  KeyState state(*bed.view);
  bed.apply(state, 0, 1, {}, {}, {});
  bed.apply(state, 10 * kSecond, 2, {}, {}, {});
  bed.apply(state, 10 * kSecond, 3, {}, {}, {});
  EXPECT_EQ(bed.read(state, 10 * kSecond, 2), "1 ");  // t - w is out, seq 3 is not seen
  EXPECT_EQ(bed.read(state, 10 * kSecond), "2 ");
  EXPECT_EQ(bed.read(state, 10 * kSecond - 1), "1 ");
  EXPECT_EQ(bed.read(state, -1), "0 ");
  EXPECT_EQ(bed.read(state, 20 * kSecond - 1, ReadPoint::kEverySeq, 2), "1 ");
}

TEST(KeyState, ResultsDoNotDependOnTheOrderOfArrival) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Bed bed(120 * kSecond);
    Random random(seed);
    struct Event {
      int64_t time = 0;
      uint64_t seq = 0;
      schema::Value x, i, s;
    };
    std::vector<Event> events;
    for (uint64_t seq = 1; seq <= 60; ++seq) {
      const auto number = static_cast<int64_t>(random.below(7));
      Event& event = events.emplace_back();
      event.time = static_cast<int64_t>(random.below(100)) * kSecond;
      event.seq = seq;
      if (number != 0) event.x = 0.1 * static_cast<double>(number);
      if (number != 1) event.i = number;
      if (number != 2) event.s = std::to_string(number);
    }
    std::vector<size_t> order(events.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::string expected;
    for (int round = 0; round < 3; ++round) {
      KeyState state(*bed.view);
      for (const size_t i : order)
        bed.apply(state, events[i].time, events[i].seq, events[i].x, events[i].i, events[i].s);
      std::string got;
      for (int64_t t = 0; t < 110; t += 9) got += bed.read(state, t * kSecond) + "\n";
      if (round == 0) expected = got;
      ASSERT_EQ(got, expected) << "seed " << seed << " round " << round;
      for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    }
  }
}

TEST(KeyState, OnlyCountingEventsCountAndOnce) {
  Bed bed;
  KeyState state(*bed.view);
  schema::Batch rows(bed.source);
  rows.append_row({std::string("key"), 1.0, int64_t{1}, {}});
  auto facts = Bed::facts(5, 1);
  for (const auto status : {schema::EventStatus::kDuplicate, schema::EventStatus::kLateDropped,
                            schema::EventStatus::kQuarantined}) {
    facts.status = status;
    EXPECT_EQ(state.apply(*bed.worker, rows, 0, facts), Applied::kIgnored);
  }
  facts.status = schema::EventStatus::kLateRepaired;
  EXPECT_EQ(state.apply(*bed.worker, rows, 0, facts), Applied::kInserted);
  EXPECT_EQ(state.apply(*bed.worker, rows, 0, facts), Applied::kRepeated);
  EXPECT_EQ(state.rows(), 1u);
}

TEST(KeyState, MemoryIsBoundedByWindowAndLateness) {
  Bed bed(5 * kSecond);
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 10'000; ++seq)
    bed.apply(state, static_cast<int64_t>(seq) * kSecond, seq, 1.0, int64_t{1},
              std::to_string(seq % 500));
  EXPECT_LE(state.rows(), 66u + KeyState::kWitnesses);
  EXPECT_LE(state.bytes(), 20'000u);
  EXPECT_EQ(bed.read(state, 10'000 * kSecond).substr(0, 6), "10 10 ");
  EXPECT_THAT(bed.read(state, 9'900 * kSecond), testing::HasSubstr("(incomplete)"));
}

TEST(KeyState, HotKeysRejectAndSaySo) {
  Bed bed;
  bed.definition.max_rows = 3;
  bed.recompile();
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 4; ++seq)
    EXPECT_EQ(bed.apply(state, kSecond, seq, 1.0, {}, {}),
              seq <= 3 ? Applied::kInserted : Applied::kRejected);
  EXPECT_EQ(state.rejected(), 1u);
  EXPECT_THAT(bed.read(state, kSecond), testing::StartsWith("null(hot_key) null(hot_key) "));
  EXPECT_THAT(bed.read(state, kSecond - 1), testing::StartsWith("0 null "));
  EXPECT_THAT(bed.read(state, 62 * kSecond), testing::StartsWith("0 null "));
}

TEST(KeyState, AKeyThatWasHotWorksAgain) {
  Bed bed(0);
  bed.definition.max_rows = 100'000;  // the default
  bed.definition.aggregates = {{"n", "count()"}};
  bed.definition.windows = {"10s"};
  bed.recompile(0);
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 100'010; ++seq) bed.apply(state, kSecond, seq, {}, {}, {});
  EXPECT_EQ(state.rejected(), 10u);
  std::string bytes;
  state.serialize(*bed.view, bytes);
  auto restored = KeyState::parse(*bed.view, bytes);
  ASSERT_TRUE(restored.ok());
  for (KeyState* const one : {&state, &*restored}) {
    EXPECT_EQ(bed.read(*one, 11 * kSecond - 1), "null(hot_key) ");
    EXPECT_EQ(bed.apply(*one, 12 * kSecond, 200'000, {}, {}, {}), Applied::kInserted);
    EXPECT_EQ(bed.read(*one, 12 * kSecond), "1 ");
    EXPECT_EQ(one->rows(), 1u);
  }
}

// Whatever comes and in whatever order: a window that is not marked holds the truth of all events,
// one that is hot lacks some, and no event is refused while the longest window has room.
TEST(KeyState, OnlyWindowsThatLackEventsAreMarked) {
  size_t marked = 0, unmarked = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Bed bed;
    Random random(seed);
    bed.definition.max_rows = 3 + random.below(6);
    bed.definition.exclude_current = seed % 2 == 0;
    bed.definition.aggregates = {{"n", "count()"}};
    bed.definition.windows = {"5s", "12s"};
    const int64_t lateness = static_cast<int64_t>(random.below(20)) * kSecond;
    bed.recompile(lateness);
    KeyState state(*bed.view);
    std::vector<std::pair<int64_t, uint64_t>> taken, refused;
    int64_t newest = 0;
    int64_t seen = 0;  // the newest that came
    for (uint64_t seq = 1; seq <= 120; ++seq) {
      newest += static_cast<int64_t>(random.below(3) * random.below(3)) * kSecond;
      const int64_t late = random.below(3) == 0 && lateness > 0
                               ? static_cast<int64_t>(random.below(uint64_t(lateness) + 1))
                               : 0;
      const int64_t time = newest - late / kSecond * kSecond;
      seen = std::max(seen, time);
      const int64_t horizon = seen - 12 * kSecond;  // the longest window
      const auto reachable =
          std::ranges::count_if(taken, [&](const auto& event) { return event.first >= horizon; });
      const Applied applied = bed.apply(state, time, seq, {}, {}, {});
      if (applied == Applied::kRejected) {
        EXPECT_GE(static_cast<size_t>(reachable), bed.definition.max_rows) << "seed " << seed;
        refused.emplace_back(time, seq);
      } else {
        taken.emplace_back(time, seq);
      }
      if (random.below(4) == 0) {
        std::string bytes;
        state.serialize(*bed.view, bytes);
        state = KeyState::parse(*bed.view, bytes).value();
      }
      FeatureRow row;
      state.read(*bed.worker, {EventTime{time}, Seq{seq}}, row);
      for (size_t w = 0; w < 2; ++w) {
        const int64_t first = bed.view->windows()[w].first_inside(time);
        const auto inside = [&](const auto& event) {
          return event.first >= first &&
                 event < std::pair(time, seq + (bed.definition.exclude_current ? 0 : 1));
        };
        const auto lacking = std::ranges::count_if(refused, inside);
        ASSERT_EQ(row.statuses[w] == FeatureStatus::kHotKey, lacking > 0)
            << "seed " << seed << " seq " << seq << " window " << w;
        ASSERT_EQ(row.cells[w].null, lacking > 0);
        (lacking > 0 ? marked : unmarked) += 1;
        if (time == seen) {
          ASSERT_NE(row.statuses[w], FeatureStatus::kIncomplete) << "not for late events";
        }
        if (row.statuses[w] == FeatureStatus::kPresent) {
          ASSERT_EQ(row.cells[w].i, std::ranges::count_if(taken, inside)) << seed;
        }
      }
    }
  }
  EXPECT_GT(marked, 1'000u);
  EXPECT_GT(unmarked, 1'000u);
}

// A sender whose clock is ahead, in one row of ten thousand or in four at once: the others' windows
// stay whole, and its own are its own.
TEST(KeyState, AFewStrangersFarAheadEmptyNoKey) {
  constexpr int64_t kYear = 365LL * 24 * 3'600 * kSecond;
  for (size_t strangers = 1; strangers < KeyState::kWitnesses; ++strangers) {
    Bed bed;
    bed.definition.aggregates = {{"n", "count()"}};
    bed.definition.windows = {"10s"};
    bed.recompile(5 * kSecond);
    KeyState state(*bed.view);
    uint64_t seq = 0;
    for (int64_t at = 0; at < 10; ++at) bed.apply(state, at * kSecond, ++seq, {}, {}, {});
    for (size_t i = 0; i < strangers; ++i) {
      const int64_t ahead = kYear * static_cast<int64_t>(i + 1);
      EXPECT_EQ(bed.apply(state, ahead, ++seq, {}, {}, {}), Applied::kInserted);
      EXPECT_EQ(bed.read(state, ahead), "1 ");
    }
    for (int64_t at = 10; at < 100; ++at) {
      EXPECT_EQ(bed.apply(state, at * kSecond, ++seq, {}, {}, {}), Applied::kInserted);
      EXPECT_EQ(bed.read(state, at * kSecond), "10 ") << strangers << " at " << at;
    }
    EXPECT_LE(state.rows(), 16 + 2 * KeyState::kWitnesses);
  }
}

// As many agree as are believed: then what is behind is too old, and windows that lack it say so.
TEST(KeyState, EventsThatComeTooLateMarkTheirWindows) {
  Bed bed;
  bed.definition.aggregates = {{"n", "count()"}};
  bed.definition.windows = {"10s"};
  bed.recompile();
  KeyState state(*bed.view);
  uint64_t seq = 0;
  for (size_t i = 0; i < KeyState::kWitnesses; ++i)
    bed.apply(state, (100 + static_cast<int64_t>(i)) * kSecond, ++seq, {}, {}, {});
  EXPECT_EQ(bed.apply(state, 50 * kSecond, ++seq, {}, {}, {}), Applied::kIgnored);
  EXPECT_EQ(bed.read(state, 52 * kSecond), "0(incomplete) ");
  EXPECT_EQ(bed.read(state, 104 * kSecond), "5 ");
}

// What was refused long ago, and is no longer kept apart: a late read says that it lacks something.
TEST(KeyState, RefusalsThatAreForgottenLeaveAMark) {
  Bed bed;
  bed.definition.max_rows = 100;
  bed.definition.aggregates = {{"n", "count()"}};
  bed.definition.windows = {"10s"};
  bed.recompile(0);
  KeyState state(*bed.view);
  uint64_t seq = 0;
  for (int64_t i = 0; i < 200; ++i) bed.apply(state, 100 * kSecond + i * 1'000, ++seq, {}, {}, {});
  EXPECT_EQ(state.rejected(), 100u);
  for (int64_t i = 0; i < 9; ++i) bed.apply(state, (1'000 + i) * kSecond, ++seq, {}, {}, {});
  EXPECT_EQ(bed.read(state, 110 * kSecond + 150'000), "0(incomplete) ");
}

TEST(KeyState, RefusedEventsCostABoundedState) {
  Bed bed;
  bed.definition.max_rows = 1;
  bed.recompile();
  KeyState state(*bed.view);
  Random random(3);
  for (uint64_t seq = 1; seq <= 5'000; ++seq)
    bed.apply(state, static_cast<int64_t>(random.below(40)) * kSecond, seq, {}, {}, {});
  std::string bytes;
  state.serialize(*bed.view, bytes);
  EXPECT_LE(bytes.size(), 2'000u);
  EXPECT_THAT(bed.read(state, 39 * kSecond), testing::StartsWith("null(hot_key) "));
}

TEST(KeyState, StatesOfTheFirstVersionAreRead) {
  Bed bed;
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 3; ++seq)
    bed.apply(state, static_cast<int64_t>(seq) * kSecond, seq, 1.0, {}, std::string("t"));
  std::string bytes;
  state.serialize(*bed.view, bytes);
  const auto put = [&](size_t at, auto value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  put(4, uint32_t{1});
  put(48, std::numeric_limits<int64_t>::min());  // the newest refused: none
  auto old = KeyState::parse(*bed.view, bytes);
  ASSERT_TRUE(old.ok()) << old.error().to_string();
  EXPECT_EQ(bed.read(*old, 3 * kSecond), bed.read(state, 3 * kSecond));
  put(48, 2 * kSecond);
  old = KeyState::parse(*bed.view, bytes);
  ASSERT_TRUE(old.ok());
  EXPECT_THAT(bed.read(*old, 3 * kSecond), testing::StartsWith("null(hot_key) "));
  EXPECT_THAT(bed.read(*old, 13 * kSecond), testing::StartsWith("0 "));
  put(4, uint32_t{3});
  EXPECT_EQ(KeyState::parse(*bed.view, bytes).error().code, ErrorCode::kUnsupported);
}

TEST(KeyState, WindowsThatReachBackToWhatIsLostSaySo) {
  Bed bed;
  KeyState state(*bed.view);
  bed.apply(state, 100 * kSecond, 1, 1.0, {}, {});
  FeatureRow row;
  state.read(*bed.worker, {.event_time = EventTime{105 * kSecond}, .lost = EventTime{60 * kSecond}},
             row);
  for (size_t f = 0; f < row.statuses.size(); ++f)
    EXPECT_EQ(row.statuses[f], bed.view->features()[f].window == 0 ? FeatureStatus::kPresent
                                                                   : FeatureStatus::kIncomplete);
}

// Found by random scenario 77001796: a text that left the state and came back kept its number in
// the free list, so that the next new text took its place.
TEST(KeyState, TextsThatComeBackAreNotOverwritten) {
  Bed bed(kSecond);
  bed.definition.aggregates = {{"last", "last(s)"}};
  bed.definition.windows = {"10s"};
  bed.recompile(kSecond);
  KeyState state(*bed.view);
  bed.apply(state, 0, 1, {}, {}, std::string("b"));
  bed.apply(state, 20 * kSecond, 2, {}, {}, std::string("a"));  // "b" leaves
  bed.apply(state, 24 * kSecond, 3, {}, {}, std::string("b"));
  bed.apply(state, 23 * kSecond, 4, {}, {}, std::string("d"));
  EXPECT_EQ(bed.read(state, 24 * kSecond), "'b' ");
  EXPECT_EQ(bed.read(state, 24 * kSecond - 1), "'d' ");
}

TEST(KeyState, StoredBytesReadBackEqual) {
  Bed bed;
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 300; ++seq)
    bed.apply(state, static_cast<int64_t>(seq * 7 % 90) * kSecond, seq, 0.5, int64_t(seq),
              std::string(seq % 40, 'x'));
  std::string bytes;
  state.serialize(*bed.view, bytes);
  auto copy = KeyState::parse(*bed.view, bytes);
  ASSERT_TRUE(copy.ok()) << copy.error().to_string();
  EXPECT_EQ(bed.read(*copy, 89 * kSecond), bed.read(state, 89 * kSecond));
  bed.apply(state, 91 * kSecond, 301, 1.0, {}, std::string("new"));
  bed.apply(*copy, 91 * kSecond, 301, 1.0, {}, std::string("new"));
  EXPECT_EQ(bed.read(*copy, 91 * kSecond), bed.read(state, 91 * kSecond));
  std::string first;
  std::string second;
  state.serialize(*bed.view, first);
  copy->serialize(*bed.view, second);
  EXPECT_EQ(first, second);
}

TEST(KeyState, DamagedBytesAreRefused) {
  Bed bed;
  KeyState state(*bed.view);
  for (uint64_t seq = 1; seq <= 20; ++seq) bed.apply(state, 0, seq, 1.0, {}, std::to_string(seq));
  std::string bytes;
  state.serialize(*bed.view, bytes);
  for (size_t size = 0; size < bytes.size(); ++size)
    (void)KeyState::parse(*bed.view, std::string_view(bytes).substr(0, size));
  EXPECT_FALSE(KeyState::parse(*bed.view, std::string_view(bytes).substr(0, 100)).ok());
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = bytes;
    for (int j = 0; j < 3; ++j)
      damaged[random.below(damaged.size())] = static_cast<char>(random.next_u64());
    auto parsed = KeyState::parse(*bed.view, damaged);
    if (parsed.ok()) (void)bed.read(*parsed, 0);
  }
  Bed other;
  other.definition.windows = {"11s"};
  other.recompile();
  EXPECT_EQ(KeyState::parse(*other.view, bytes).error().code, ErrorCode::kConflict);
}

// One more event in order must not rewrite the state.
TEST(KeyState, OneMoreEventChangesFewPages) {
  Bed bed;
  KeyState state(*bed.view);
  size_t changed = 0;
  size_t size = 0;
  size_t events = 0;
  std::string before;
  for (uint64_t seq = 1; seq <= 2'000; ++seq) {
    bed.apply(state, static_cast<int64_t>(seq) * kSecond / 4, seq, 1.0, int64_t{1},
              std::to_string(seq % 9));
    std::string after;
    state.serialize(*bed.view, after);
    if (after.size() == before.size() && seq > 1'000) {
      ++events;
      for (size_t at = 0; at < after.size(); at += 512)
        changed += after.compare(at, 512, before, at, 512) != 0 ? 1 : 0;
    }
    size = after.size();
    before = std::move(after);
  }
  EXPECT_EQ(events, 1'000u);
  EXPECT_LE(static_cast<double>(changed) / static_cast<double>(events), 2.2) << "of " << size;
}

}  // namespace
}  // namespace qw::features
