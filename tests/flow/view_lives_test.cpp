// Aim: a view that is built from a log which retention has trimmed never passes for whole, and the
// states that nobody needs any more leave the disk, those of keys and those of views, while
// whatever is still needed stays. Method: generated events whose right answers are arithmetic; the
// log is rolled and trimmed, the definition changed, and changed back; the disk is looked at.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "flow_run.h"

namespace qw::test {
namespace {

using features::FeatureStatus;

class ViewLivesTest : public FlowTest {
 protected:
  static app::AppFile app_with(int64_t window_us, const char* window) {
    app::AppFile file = value_app();
    file.views[0].windows = {{window_us, 0, window, {6, 3}}};
    file.views[0].aggregates = {{{"n", {7, 3}}, text("count()")}};
    file.derives.clear();
    file.segments = {4'000, 1'000'000, 20'000};
    return file;
  }
  static app::AppFile short_app() { return app_with(10'000'000, "10s"); }
  static app::AppFile long_app() { return app_with(300'000'000, "5m"); }

  std::unique_ptr<app::Runtime> start(const app::AppFile& file, size_t events) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.roller.grace_us = 0;
    GeneratedOptions generated;
    generated.events = events;
    options.make_source = [generated](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    auto runtime = app::Runtime::start(plan_of(file), options, real_clock(), metrics_, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    wait_until("the end of the events", [&] { return runtime.value()->finished(); });
    return std::move(runtime).value();
  }
  // Of a series at its event of that turn: how many are in the window, and the status.
  static std::pair<int64_t, FeatureStatus> count_at(app::Runtime& runtime, int64_t turn,
                                                    const char* series = "s1") {
    const auto answer = runtime.pipeline().features().read(
        "metric", series, EventTime{GeneratedOptions{}.first_us + turn * 1'000'000});
    EXPECT_TRUE(answer.ok()) << answer.error().to_string();
    if (!answer.ok()) return {};
    return {std::get<int64_t>(answer->values[0]), answer->statuses[0]};
  }
  // Rolls and trims what was read.
  void trim(app::AppFile file, size_t events) {
    file.retention.events.max_size_bytes = 1;
    const auto runtime = start(file, events);
    wait_until("the log is trimmed", [&] {
      EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
      return first_kept(runtime->store()) > Seq{1};
    });
    runtime->stop();
  }
  static Seq first_kept(const store::Store& store) {
    const auto segments = store::segments_of(store, store::Log::kEvents, PartitionId{1}).value();
    if (!segments.empty()) return segments.front().from;
    return store.scan_tail(store::Log::kEvents, PartitionId{1}, Seq{}, Seq{}, {}).value();
  }
  std::vector<nlohmann::json> incomplete(const store::Store& store) {
    std::vector<nlohmann::json> found;
    for (const auto& [kind, body] : journal_of(store))
      if (kind == "view_incomplete") found.push_back(body);
    return found;
  }
  static size_t states_of(const store::Store& store, const std::string& owner) {
    size_t states = 0;
    EXPECT_TRUE(
        store
            .scan_states(owner, PartitionId{1}, [&](std::string_view, Seq) { return ++states > 0; })
            .ok());
    return states;
  }
  static std::string owner_of(const app::AppFile& file) {
    return plan_of(file)->sources[0].views[0].owner;
  }
};

TEST_F(ViewLivesTest, AViewThatIsBuiltFromATrimmedLogSaysSo) {
  trim(short_app(), 2'000);  // turns 0 to 200
  {
    const auto runtime = start(long_app(), 3'000);  // to turn 300
    const auto [count, status] = count_at(*runtime, 299);
    EXPECT_EQ(status, FeatureStatus::kIncomplete);
    EXPECT_LT(count, 300);
    runtime->stop();
  }
  {
    const auto store = open_store();
    const auto said = incomplete(*store);
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0]["view"], "metric");
    EXPECT_GT(said[0]["complete_from_us"], said[0]["lost_until_us"]);
  }
  const auto runtime = start(long_app(), 8'000);  // to turn 800: after a restart, past the gap
  EXPECT_EQ(count_at(*runtime, 299).second, FeatureStatus::kIncomplete);
  EXPECT_EQ(count_at(*runtime, 799), std::pair(int64_t{300}, FeatureStatus::kPresent));
  runtime->stop();
}

TEST_F(ViewLivesTest, AViewThatIsChangedBackAfterATrimSaysSo) {
  run(plan_of(long_app()), {.events = 1'000});  // its states end at turn 100
  trim(short_app(), 2'000);
  const auto runtime = start(long_app(), 2'500);
  EXPECT_EQ(count_at(*runtime, 249).second, FeatureStatus::kIncomplete);
  runtime->stop();
}

TEST_F(ViewLivesTest, AViewThatDidNotChangeStaysWhole) {
  trim(long_app(), 2'000);
  const auto runtime = start(long_app(), 2'500);
  EXPECT_EQ(count_at(*runtime, 249), std::pair(int64_t{250}, FeatureStatus::kPresent));
  EXPECT_TRUE(incomplete(runtime->store()).empty());
  runtime->stop();
}

TEST_F(ViewLivesTest, StatesOfAViewThatIsGoneAreErasedAfterATime) {
  run(plan_of(long_app()), {.events = 1'000});
  app::AppFile file = short_app();
  file.durability.state_ttl_us = 60'000'000;
  start(file, 1'000)->stop();
  EXPECT_EQ(states_of(*open_store(), owner_of(long_app())), 10u) << "erased before its time";
  file.durability.state_ttl_us = 2'000'000;
  auto runtime = start(file, 1'000);
  wait_until("the old states go",
             [&] { return states_of(runtime->store(), owner_of(long_app())) == 0; });
  EXPECT_EQ(states_of(runtime->store(), owner_of(file)), 10u);
  runtime->stop();
  runtime.reset();
  bool named = false;
  EXPECT_TRUE(open_store()
                  ->scan_meta("",
                              [&](std::string_view name, std::string_view) {
                                named = named ||
                                        name.find(owner_of(long_app())) != std::string_view::npos;
                                return true;
                              })
                  .ok());
  EXPECT_FALSE(named) << "something is still kept about it";
}

TEST_F(ViewLivesTest, StatesOfKeysThatEndedAreErasedAfterATime) {
  app::AppFile file = short_app();
  file.durability.state_ttl_us = 60'000'000;
  // 100 series of one event each, long before the others.
  GeneratedOptions old;
  old.events = 99;
  old.series = 100;
  run(plan_of(file), old);
  EXPECT_EQ(states_of(*open_store(), owner_of(file)), 99u);
  auto runtime = start(file, 4'000);
  wait_until("the states of ended keys go",
             [&] { return states_of(runtime->store(), owner_of(file)) <= 10; });
  EXPECT_EQ(count_at(*runtime, 399), std::pair(int64_t{10}, FeatureStatus::kPresent));
  runtime->stop();
  runtime.reset();
  const auto again = start(file, 4'100);
  EXPECT_EQ(count_at(*again, 409), std::pair(int64_t{10}, FeatureStatus::kPresent));
  again->stop();
}

}  // namespace
}  // namespace qw::test
