// Aim: an id is known for the whole horizon, at any rate, with any memory, over restarts, and what
// is kept for that stays bounded; a restart costs nothing afterwards.
// Method: against a plain map of every id with its time; values are kept in a map that takes each
// commit late, as the store does. Costs are counts of what was visited, not times.
#include "streams/seen_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/env.h"

namespace qw::streams {
namespace {

constexpr int64_t kS = 1'000'000;
constexpr int64_t kNow = 1'700'000'000 * kS;
constexpr int64_t kHorizon = 320 * kS;
const std::string kPrefix = "gate/tx/";

// The store: what was committed, and what waits for the next commit.
struct Kept {
  std::map<std::string, std::string> values;
  StoredChanges open;
  size_t lookups = 0;

  void take(SeenIds& ids) {
    StoredChanges changes;
    ids.take_changes(changes);
    for (auto& put : changes.put) open.put.push_back(std::move(put));
    for (auto& name : changes.erase) open.erase.push_back(std::move(name));
    for (auto& name : changes.erase_prefix) open.erase_prefix.push_back(std::move(name));
  }
  void commit() {
    for (auto& [name, value] : open.put) values[name] = std::move(value);
    for (const auto& name : open.erase) values.erase(name);
    for (const auto& prefix : open.erase_prefix)
      std::erase_if(values, [&](const auto& one) { return one.first.starts_with(prefix); });
    open = {};
  }
  SeenIds::Lookup lookup() {
    return [this](std::string_view name) -> Result<std::optional<std::string>> {
      ++lookups;
      const auto found = values.find(std::string(name));
      if (found == values.end()) return std::optional<std::string>();
      return std::optional(found->second);
    };
  }
  SeenIds restored(size_t memory) {
    SeenIds ids({kPrefix, kHorizon, memory});
    ids.look_up_with(lookup());
    open = {};
    for (const std::string_view part : SeenIds::kRestored)
      for (const auto& [name, value] : values) {
        const std::string_view rest = std::string_view(name).substr(kPrefix.size());
        if (!rest.starts_with(part)) continue;
        EXPECT_TRUE(ids.restore_value(rest, value).ok()) << name;
      }
    return ids;
  }
};

EventIdHash id_of(uint64_t n) { return {n * 0x9e3779b97f4a7c15u, n ^ 0xabcdef}; }

TEST(SeenIds, KnowsEveryIdOfTheHorizonWithAnyMemoryOverRestarts) {
  for (const size_t memory : {32u, 500u, 100'000u}) {
    Kept kept;
    SeenIds ids = kept.restored(memory);
    std::map<uint64_t, int64_t> model;
    Random random(memory);
    int64_t now_us = kNow;
    size_t repeats = 0, again = 0;
    for (int i = 0; i < 12'000; ++i) {
      now_us += static_cast<int64_t>(random.below(kS / 4));
      const uint64_t n = random.below(4'000);
      const auto known = model.find(n);
      const bool wanted = known != model.end() && now_us - known->second <= kHorizon;
      const auto found = ids.contains(id_of(n), now_us);
      ASSERT_TRUE(found.ok());
      ASSERT_EQ(*found, wanted) << "memory " << memory << " event " << i;
      repeats += wanted ? 1 : 0;
      again += known != model.end() && !wanted ? 1 : 0;
      if (!wanted) {
        model[n] = now_us;
        ids.add(id_of(n), now_us);
      }
      ids.forget_before(now_us - kHorizon);
      kept.take(ids);
      if (random.below(3) == 0) kept.commit();
      if (random.below(500) == 0) {
        kept.take(ids);
        kept.commit();
        ids = kept.restored(memory);
      }
    }
    EXPECT_GT(repeats, 500u);
    EXPECT_GT(again, 500u);
    const bool spills = memory < 1'000;
    EXPECT_GE(ids.on_disk(), spills ? 500u : 0u);
    EXPECT_LT(ids.in_memory(), spills ? memory + memory / 16 + 20 : 4'000u);
    // An hour later all has gone.
    ids.add(id_of(1'000'000), now_us + 3'600 * kS);
    for (int i = 0; i < 3; ++i) {
      ids.forget_before(now_us + 3'600 * kS - kHorizon);
      kept.take(ids);
      kept.commit();
    }
    EXPECT_EQ(ids.in_memory(), 1u);
    EXPECT_EQ(kept.values.size(), 1u);
  }
}

TEST(SeenIds, AnOldTimeBehindANewOneIsForgottenToo) {
  Kept kept;
  SeenIds ids = kept.restored(100'000);
  ids.add(id_of(0), kNow + 365 * 86'400 * kS);
  for (uint64_t n = 1; n <= 20'000; ++n) {
    const int64_t now_us = kNow + static_cast<int64_t>(n) * kS;
    ids.add(id_of(n), now_us);
    ids.forget_before(now_us - kHorizon);
  }
  EXPECT_LT(ids.in_memory(), 1'000u);
  EXPECT_TRUE(*ids.contains(id_of(20'000), kNow + 20'000 * kS));
}

// The work of an event: what take_changes() and forget_before() visit, before a restart and after
// one that found a chunk for each of many commits.
TEST(SeenIds, ARestartMakesNoEventDearer) {
  Kept kept;
  SeenIds ids = kept.restored(1'000'000);
  const auto visits_of = [&](SeenIds& one, uint64_t from, uint64_t to) {
    const uint64_t before = one.slices_visited();
    for (uint64_t n = from; n < to; ++n) {
      one.add(id_of(n), kNow + static_cast<int64_t>(n));
      one.forget_before(kNow + static_cast<int64_t>(n) - kHorizon);
      kept.take(one);
      kept.commit();
    }
    return one.slices_visited() - before;
  };
  const uint64_t fresh = visits_of(ids, 0, 10'000);
  SeenIds restored = kept.restored(1'000'000);
  EXPECT_EQ(restored.in_memory(), 10'000u);
  const uint64_t after = visits_of(restored, 10'000, 20'000);
  EXPECT_LE(after, fresh + 100);
  EXPECT_LE(after, 3 * 10'000u);
}

// Below memory's limit nothing is asked of the disk; beyond, at most one look a run and event.
TEST(SeenIds, TheDiskIsAskedOnlyForWhatIsBeyondMemory) {
  for (const bool beyond : {false, true}) {
    Kept kept;
    SeenIds ids = kept.restored(beyond ? 1'000 : 1'000'000);
    for (uint64_t n = 0; n < 10'000; ++n) {
      ids.add(id_of(n), kNow + static_cast<int64_t>(n) * kHorizon / 10'000);
      kept.take(ids);
      kept.commit();
    }
    kept.lookups = 0;
    for (uint64_t n = 20'000; n < 21'000; ++n)
      EXPECT_FALSE(*ids.contains(id_of(n), kNow + kHorizon));
    EXPECT_LE(kept.lookups, beyond ? 3'000u : 0u);
  }
}

TEST(SeenIds, SaysWhenTheDiskCannotBeRead) {
  Kept kept;
  SeenIds ids = kept.restored(32);
  for (uint64_t n = 0; n < 200; ++n) {
    ids.add(id_of(n), kNow);
    kept.take(ids);
    kept.commit();
  }
  ASSERT_GT(ids.on_disk(), 0u);
  ids.look_up_with([](std::string_view) -> Result<std::optional<std::string>> {
    return Error{ErrorCode::kIo, "cannot read", "", ""};
  });
  EXPECT_FALSE(ids.contains(id_of(0), kNow).ok());
  EXPECT_TRUE(*ids.contains(id_of(199), kNow));
}

TEST(SeenIds, RefusesDamage) {
  Kept kept;
  SeenIds ids = kept.restored(32);
  for (uint64_t n = 0; n < 200; ++n) {
    ids.add(id_of(n), kNow);
    kept.take(ids);
    kept.commit();
  }
  for (auto [name, value] : kept.values) {
    const std::string rest = name.substr(kPrefix.size());
    if (rest.starts_with("seen/")) continue;
    value.back() = static_cast<char>(value.back() ^ 1);
    SeenIds fresh({kPrefix, kHorizon, 32});
    EXPECT_FALSE(fresh.restore_value(rest, value).ok()) << name;
  }
}

}  // namespace
}  // namespace qw::streams
