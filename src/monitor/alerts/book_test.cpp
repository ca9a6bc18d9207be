// Aim: keys do not disturb each other, a group speaks once, and a book restored from its stored
// states goes on as if nothing had happened.
// Method: small stories, judged by who is told what; then a random life in two books, one of which
// is stored and restored in the middle.
#include "monitor/alerts/book.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/env.h"

namespace qw::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr PartitionId kPart{0};

AlertBook::Options options() {
  AlertBook::Options made;
  made.scope = {"anomaly", "unusual", "machine"};
  made.policy.for_us = 0;
  made.policy.resolve_after_us = kSecond;
  made.policy.cooldown_us = 0;
  made.policy.flap_fires = 0;
  return made;
}

class Scene {
 public:
  explicit Scene(AlertBook::Options made = options()) : book(made) {}
  // Key, kind and severity of what came of it; in brackets when receivers are not told.
  std::string see(std::string_view key, std::string_view group, int64_t second, Severity severity) {
    changes.clear();
    book.observe(
        kPart, key, group,
        Observation{Seq{++seq_}, EventTime{second * kSecond}, second * kSecond, severity, 1},
        changes);
    std::string story;
    for (const AlertChange& change : changes) {
      const std::string word = change.key + " " +
                               std::string(name_of(change.transition.kind)).substr(6) + " " +
                               std::string(name_of(change.transition.severity));
      story += change.notify ? word : "(" + word + ")";
    }
    return story;
  }
  AlertBook book;
  std::vector<AlertChange> changes;

 private:
  uint64_t seq_ = 0;
};

TEST(AlertBook, KeysAreJudgedApart) {
  Scene scene;
  EXPECT_EQ(scene.see("cpu", "", 0, Severity::kNone), "");
  EXPECT_EQ(scene.book.keys(), 0u) << "a quiet key costs nothing";
  EXPECT_EQ(scene.see("cpu", "", 1, Severity::kPage), "cpu fired page");
  const std::string first = scene.changes[0].alert_id;
  EXPECT_EQ(scene.see("memory", "", 1, Severity::kWarn), "memory fired warn");
  EXPECT_NE(scene.changes[0].alert_id, first);
  EXPECT_EQ(scene.book.open(), 2u);
  EXPECT_EQ(scene.see("cpu", "", 2, Severity::kNone), "");
  EXPECT_EQ(scene.see("cpu", "", 3, Severity::kNone), "cpu resolved page");
  EXPECT_EQ(scene.changes[0].alert_id, first);
  EXPECT_EQ(scene.see("cpu", "", 4, Severity::kPage), "cpu fired page");
  EXPECT_NE(scene.changes[0].alert_id, first) << "each alert of a key has its own id";
}

TEST(AlertBook, AGroupSpeaksOnce) {
  Scene scene;
  EXPECT_EQ(scene.see("cpu", "host", 0, Severity::kWarn), "cpu fired warn");
  const std::string lead = scene.changes[0].alert_id;
  EXPECT_EQ(scene.see("load", "host", 1, Severity::kWarn), "(load fired warn)");
  EXPECT_EQ(scene.changes[0].lead_id, lead);
  EXPECT_NE(scene.changes[0].alert_id, lead);
  EXPECT_EQ(scene.see("disk", "host", 2, Severity::kPage), "disk fired page") << "louder than all";
  EXPECT_EQ(scene.see("load", "host", 2, Severity::kPage), "(load escalated page)");
  for (const char* key : {"cpu", "load"}) {
    EXPECT_EQ(scene.see(key, "host", 3, Severity::kNone), "");
    EXPECT_EQ(scene.see(key, "host", 4, Severity::kNone).substr(0, 1), "(");
  }
  EXPECT_EQ(scene.see("disk", "host", 4, Severity::kNone), "");
  EXPECT_EQ(scene.see("disk", "host", 5, Severity::kNone), "disk resolved page")
      << "the last one to end ends the group";
  EXPECT_EQ(scene.changes[0].lead_id, lead);
  EXPECT_EQ(scene.see("load", "host", 6, Severity::kWarn), "load fired warn") << "a new group";
}

TEST(AlertBook, TicksReachOnlyActiveKeys) {
  Scene scene;
  scene.see("cpu", "", 0, Severity::kPage);
  scene.see("memory", "", 0, Severity::kPage);
  scene.see("memory", "", 1, Severity::kNone);
  scene.see("memory", "", 2, Severity::kNone);
  std::vector<AlertChange> changes;
  for (uint64_t second = 3; second < 70; ++second)
    scene.book.tick(
        second, static_cast<int64_t>(second) * kSecond, [](PartitionId) { return Seq{4}; },
        changes);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].key, "cpu");
  EXPECT_EQ(changes[0].transition.reason, ResolveReason::kNoData);
  EXPECT_EQ(scene.book.find(kPart, "memory")->applied_tick, 0u);
}

TEST(AlertBook, KeysAreBounded) {
  AlertBook::Options made = options();
  made.max_keys = 1;
  Scene scene(made);
  EXPECT_EQ(scene.see("a", "", 0, Severity::kPage), "a fired page");
  EXPECT_EQ(scene.see("b", "", 0, Severity::kPage), "");
  EXPECT_EQ(scene.book.refused(), 1u);
}

struct Event {
  std::string key;
  std::string group;
  Observation observation;
};

TEST(AlertBook, ARestoredBookGoesOnAsTheUndisturbedOne) {
  Random random(7);
  std::vector<Event> life;
  for (uint64_t i = 1; i <= 3000; ++i) {
    const auto number = random.below(6);
    const int64_t now_us = static_cast<int64_t>(i) * kSecond / 4;
    const auto severity =
        (i / 100 + number) % 3 == 0 ? static_cast<Severity>(random.below(4)) : Severity::kNone;
    life.push_back({"key" + std::to_string(number), number < 4 ? "host" : "",
                    Observation{Seq{i}, EventTime{now_us}, now_us, severity, random.uniform()}});
  }
  const auto play = [](AlertBook& book, const Event& event) {
    std::vector<AlertChange> changes;
    book.observe(kPart, event.key, event.group, event.observation, changes);
    book.tick(
        event.observation.seq.value(), event.observation.quiet_us,
        [&](PartitionId) { return event.observation.seq; }, changes);
    std::string story;
    for (const AlertChange& change : changes)
      story += change.alert_id + "<" + change.lead_id + (change.notify ? "!" : ".") +
               std::string(name_of(change.transition.kind)) + " " +
               std::string(name_of(change.transition.severity)) + " ";
    return story;
  };
  AlertBook undisturbed(options());
  auto current = std::make_unique<AlertBook>(options());
  std::set<std::string> told;
  for (size_t i = 0; i < life.size(); ++i) {
    const std::string story = play(undisturbed, life[i]);
    ASSERT_EQ(play(*current, life[i]), story) << "event " << i;
    const bool fresh = story.empty() || told.insert(story).second;
    EXPECT_TRUE(fresh) << "said twice: " << story;
    if (i % 50 != 0) continue;
    auto restored = std::make_unique<AlertBook>(options());
    for (int number = 0; number < 6; ++number) {
      std::string bytes;
      const std::string key = "key" + std::to_string(number);
      if (!current->save(kPart, key, bytes)) continue;
      ASSERT_TRUE(restored->restore(kPart, key, bytes).ok());
    }
    ASSERT_EQ(restored->open(), current->open());
    current = std::move(restored);
  }
  EXPECT_GT(told.size(), 50u);
}

TEST(AlertBook, IdsAreFixed) {
  // A golden value: receivers and stored journals know alerts by it.
  EXPECT_EQ(alert_id({"anomaly", "unusual", "machine"}, PartitionId{2}, "cpu", 41),
            "a-06b4b0c38adaa796");
}

TEST(AlertBook, AnIdCarriesThePartitionsNameNotItsNumberHere) {
  AlertBook::Options options;
  options.scope = {"anomaly", "unusual", "machine"};
  options.policy.for_us = 0;
  const auto id_of_first = [&](PartitionId number, uint32_t name) {
    AlertBook book(options);
    book.name_partition(number, name);
    std::vector<AlertChange> changes;
    book.observe(number, "cpu", "", {Seq{41}, EventTime{1}, 1, Severity::kPage, 1}, changes);
    return changes.at(0).alert_id;
  };
  EXPECT_EQ(id_of_first(PartitionId{7}, 2), "a-06b4b0c38adaa796");
  EXPECT_EQ(id_of_first(PartitionId{9}, 2), "a-06b4b0c38adaa796");
  EXPECT_NE(id_of_first(PartitionId{7}, 3), "a-06b4b0c38adaa796");
}

// Keys that ended make room, and what was saved of them goes; those that could still matter stay.
TEST(AlertBook, ForgetsKeysThatEnded) {
  AlertBook::Options made = options();
  made.max_keys = 300;
  made.policy.cooldown_us = 30 * kSecond;
  Scene scene(made);
  scene.see("open", "", 0, Severity::kPage);
  std::vector<std::string> forgotten;
  for (int64_t n = 0; n < 3'000; ++n) {
    const std::string key = "key" + std::to_string(n);
    scene.see(key, "", n, Severity::kPage);
    scene.see(key, "", n + 1, Severity::kNone);
    scene.see(key, "", n + 2, Severity::kNone);
    scene.book.forget_ended(
        [&](PartitionId, std::string_view gone) { forgotten.emplace_back(gone); });
  }
  EXPECT_EQ(scene.book.refused(), 0u);
  EXPECT_LE(scene.book.keys(), 50u);
  EXPECT_GE(scene.book.keys(), 30u) << "those in cooldown stay";
  EXPECT_EQ(forgotten.size() + scene.book.keys(), 3'001u);
  EXPECT_NE(scene.book.find(kPart, "open"), nullptr);
  EXPECT_EQ(scene.book.open(), 1u);
}

TEST(AlertBook, OneWrongTimeForgetsNothing) {
  AlertBook::Options made = options();
  made.policy.cooldown_us = 3600 * kSecond;
  Scene scene(made);
  scene.see("cpu", "", 1, Severity::kPage);
  scene.see("cpu", "", 2, Severity::kNone);
  scene.see("cpu", "", 4, Severity::kNone);
  scene.see("other", "", 100'000'000, Severity::kInfo);
  scene.book.forget_ended([](PartitionId, std::string_view) { FAIL(); });
  EXPECT_NE(scene.book.find(kPart, "cpu"), nullptr);
}

// However rarely a series is heard of, its open alert does not end between two of its words.
TEST(AlertBook, LearnsHowLongASeriesPauses) {
  for (const int64_t pause_s : {1, 65, 299, 3'000}) {
    AlertBook::Options made = options();
    made.policy.learns_stale_after = true;
    Scene scene(made);
    uint64_t tick = 0;
    std::string ended;
    int64_t now_s = 0;
    const auto wait = [&](int64_t until_s) {
      for (; now_s < until_s; ++now_s) {
        std::vector<AlertChange> changes;
        scene.book.tick(
            ++tick, now_s * kSecond, [](PartitionId) { return Seq{1'000'000}; }, changes);
        for (const AlertChange& change : changes)
          ended += fmt::format("{} at {} ", name_of(change.transition.kind), now_s);
      }
    };
    for (int word = 0; word < 6; ++word) {
      const std::string came = scene.see("cpu", "", now_s, Severity::kPage);
      if (word == 1) ended.clear();  // before it was heard of twice, five minutes are waited
      if (word > 1) {
        EXPECT_EQ(came, "") << "it fires anew, pause " << pause_s;
      }
      wait(now_s + pause_s);
    }
    EXPECT_EQ(ended, "") << "pause " << pause_s;
    wait(now_s + 3 * std::max<int64_t>(pause_s, 60) + 10);
    EXPECT_NE(ended, "") << "it does end, pause " << pause_s;
  }
}

}  // namespace
}  // namespace qw::monitor
