// Aim: what an application remembers is the same whether its logs were rolled into segments or not,
// for a start, a warm-up, a training and SQL; nothing that a start needs is ever rolled; retention
// removes the oldest and nothing else. Method: the same generated events with and without rolling,
// crashes between two commits, and a second DuckDB that reads while the application writes.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/parity/app_parity.h"
#include "app/runtime/training_data.h"
#include "flow_run.h"
#include "store/duckdb/engine.h"
#include "store/segments/history.h"

namespace qw::test {
namespace {

using store::Log;

class SegmentsFlowTest : public FlowTest {
 protected:
  static app::AppFile rolled_app() {
    app::AppFile file = flow_app();
    file.segments = {40'000, 1'000'000, 20'000};
    return file;
  }
  static GeneratedOptions events(size_t count) {
    GeneratedOptions generated;
    generated.events = count;
    return generated;
  }

  std::unique_ptr<app::Runtime> start(const std::shared_ptr<const app::Plan>& plan,
                                      const GeneratedOptions& generated,
                                      store::SegmentSteps steps = store::real_segment_steps()) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.roller.grace_us = 0;
    options.roller.steps = std::move(steps);
    options.make_source = [generated](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    auto runtime = app::Runtime::start(plan, options, real_clock(), metrics_, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    return std::move(runtime).value();
  }
  // Until everything is applied and all of it lies in segments.
  void run_and_roll(const std::shared_ptr<const app::Plan>& plan,
                    const GeneratedOptions& generated) {
    const auto runtime = start(plan, generated);
    wait_until("the end of the events", [&] { return runtime->finished(); });
    wait_until("all in segments", [&] {
      EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
      return tail_of(runtime->store(), Log::kEvents) == 0 &&
             tail_of(runtime->store(), Log::kDecisions) == 0;
    });
    runtime->stop();
  }

  static size_t tail_of(const store::Store& store, Log log) {
    size_t records = 0;
    for (const uint32_t partition : {1u, 2u})
      EXPECT_TRUE(store
                      .scan(log, PartitionId{partition}, Seq{}, Seq{~0ull},
                            [&](Seq, std::string_view) { return ++records > 0; })
                      .ok());
    return records;
  }
  // Every record of events and decisions, in order; decided_at and known_at are the wall clock's.
  static std::vector<std::string> history_of(const store::Store& store) {
    std::vector<std::string> all;
    store::History history(store);
    EXPECT_TRUE(history
                    .scan(Log::kEvents, PartitionId{1}, Seq{}, Seq{~0ull},
                          [&](Seq seq, std::string_view bytes) {
                            const auto event = schema::decode_event(bytes).value();
                            all.push_back(fmt::format("{} {} {}", seq.value(),
                                                      event.facts.event_time.value(),
                                                      event.row_bytes));
                            return true;
                          })
                    .ok());
    EXPECT_TRUE(history
                    .scan(Log::kDecisions, PartitionId{2}, Seq{}, Seq{~0ull},
                          [&](Seq, std::string_view bytes) {
                            auto made = schema::decode_decision(bytes).value();
                            made.decided_at = KnownAt{};
                            std::string again;
                            schema::encode_decision(made, again);
                            all.push_back(again);
                            return true;
                          })
                    .ok());
    return all;
  }
  size_t event_files() const {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + "/segments"))
      files += entry.path().filename().string().starts_with("events-") ? 1 : 0;
    return files;
  }
  static size_t training_rows(const store::Store& store, const app::Plan& plan) {
    const auto history = app::read_history(store, plan, 0, {}).value();
    size_t rows = 0;
    for (const auto& series : history.series) rows += series.rows.size();
    return rows;
  }
  std::unique_ptr<store::duckdb::Engine> sql() {
    auto engine = store::duckdb::Engine::open({128, 1}).value();
    std::ifstream file(root_ + "/segments/views.sql");
    std::stringstream views;
    views << file.rdbuf();
    EXPECT_TRUE(engine->run("set file_search_path = '" + root_ + "/segments'").ok());
    const auto made = engine->run(views.str());
    EXPECT_TRUE(made.ok()) << made.error().to_string();
    return engine;
  }
  static std::string one(store::duckdb::Engine& engine, const std::string& statement) {
    const auto answer = engine.ask(statement);
    EXPECT_TRUE(answer.ok()) << answer.error().to_string();
    if (!answer.ok() || answer->rows.empty()) return "";
    std::string line;
    for (const auto& cell : answer->rows[0]) line += cell.value_or("null") + " ";
    return line;
  }
};

TEST_F(SegmentsFlowTest, RolledHistoryIsTheHistory) {
  const auto plain = plan_of(flow_app()), rolled = plan_of(rolled_app());
  run(plain, events(3000));
  std::vector<std::string> expected;
  size_t rows = 0;
  {
    const auto store = open_store();
    expected = history_of(*store);
    rows = training_rows(*store, *plain);
  }
  ASSERT_EQ(expected.size(), 6000u);
  std::filesystem::remove_all(root_);
  run_and_roll(rolled, events(3000));
  const auto store = open_store();
  EXPECT_EQ(tail_of(*store, Log::kEvents), 0u);
  EXPECT_GT(store::segments_of(*store, Log::kEvents, PartitionId{1})->size(), 2u);
  EXPECT_EQ(history_of(*store), expected);
  EXPECT_EQ(training_rows(*store, *rolled), rows);
  const auto engine = sql();
  EXPECT_EQ(one(*engine,
                "select count(*), count(distinct seq), min(status), max(status) "
                "from events_metrics"),
            "3000 3000 ok ok ");
  EXPECT_EQ(one(*engine,
                "select count(*), count(\"metric.mean_1m\"), count(\"input.value\"), "
                "count(excess), min(decision), min(served_by) from decisions"),
            "3000 3000 3000 3000 unusual anomaly@0 ");
  EXPECT_EQ(one(*engine,
                "select max(abs(d.\"input.value\" - e.value)) from decisions d "
                "join events_metrics e using (seq)"),
            "0.0 ");
}

// A kill may come after any commit: what a segment took left the log in the same one.
TEST_F(SegmentsFlowTest, AfterEveryCommitARecordIsInOnePlace) {
  const auto runtime = start(plan_of(rolled_app()), events(3000));
  store::Lane& lane = runtime->events();
  std::atomic<bool> watches{true};
  const std::function<void()> look = [&] {
    for (const auto& [log, partition] : {std::pair(Log::kEvents, 1u), {Log::kDecisions, 2u}}) {
      const auto segments = store::segments_of(runtime->store(), log, PartitionId{partition});
      const Seq tail =
          runtime->store().scan_tail(log, PartitionId{partition}, Seq{}, Seq{}, {}).value();
      EXPECT_EQ(tail, segments->empty() ? Seq{1} : segments->back().to) << store::name_of(log);
    }
    if (!watches) return;
    auto held = lane.hold();
    held.open().then.push_back(look);
  };
  {
    auto held = lane.hold();
    held.open().then.push_back(look);
  }
  wait_until("the end of the events", [&] { return runtime->finished(); });
  wait_until("segments", [&] {
    EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
    return store::segments_of(runtime->store(), Log::kDecisions, PartitionId{2})->size() > 2;
  });
  watches = false;
  runtime->stop();
}

TEST_F(SegmentsFlowTest, AStartNeverNeedsASegment) {
  // States stay in memory until the stop: what they are made from must stay in the log.
  app::AppFile file = rolled_app();
  file.durability.replay_max_us = 600'000'000;
  const auto plan = plan_of(file);
  const auto runtime = start(plan, events(6000));
  const auto& store = runtime->store();
  const auto kept = [&](Log log, uint32_t partition) {
    return store.scan_tail(log, PartitionId{partition}, Seq{}, Seq{}, {}).value();
  };
  const auto low = [&](const std::string& owner, uint32_t partition) {
    return store::stored_low_water(runtime->store(), owner, PartitionId{partition}).value();
  };
  // Rolling all the time, while states wait for their checkpoint. What is kept is read first: the
  // low water only rises.
  wait_until("the end of the events", [&] {
    EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
    const Seq decisions = kept(Log::kDecisions, 2);
    EXPECT_LE(decisions, next(low(runtime->pipeline().slot(0).champion()->owner(), 2)));
    const Seq events = kept(Log::kEvents, 1);
    EXPECT_LE(events, next(low(plan->sources[0].views[0].owner, 1)));
    return runtime->finished();
  });
  runtime->stop();
}

TEST_F(SegmentsFlowTest, ANewViewIsBuiltFromSegments) {
  const auto plan = plan_of(rolled_app());
  run_and_roll(plan, events(3000));
  app::AppFile changed = rolled_app();
  changed.views[0].windows.push_back({3600'000'000, 0, "1h", {6, 3}});
  const auto with_more = plan_of(changed);
  features::FeatureAnswer fresh, rebuilt;
  const EventTime as_of{GeneratedOptions().first_us + 300'000'000};
  {
    const auto runtime = start(with_more, events(3000));
    rebuilt = runtime->pipeline().features().read("metric", "s1", as_of).value();
    runtime->stop();
  }
  std::filesystem::remove_all(root_);
  {
    const auto runtime = start(with_more, events(3000));
    wait_until("the end of the events", [&] { return runtime->finished(); });
    fresh = runtime->pipeline().features().read("metric", "s1", as_of).value();
    runtime->stop();
  }
  EXPECT_EQ(rebuilt.values, fresh.values);
}

TEST_F(SegmentsFlowTest, SqlOfASecondProcessSeesAGrowingPrefix) {
  app::AppFile file = rolled_app();
  file.segments.size_bytes = 20'000;
  const auto runtime = start(plan_of(file), events(8000));
  int64_t before = 0;
  int looks = 0;
  wait_until("all rolled", [&] {
    const auto engine = sql();
    const auto answer = engine->ask(
        "select count(*), coalesce(max(seq), 0), coalesce(min(seq), 1), "
        "count(distinct seq) from events_metrics");
    EXPECT_TRUE(answer.ok()) << answer.error().to_string();
    if (!answer.ok()) return true;
    const auto& row = answer->rows[0];
    EXPECT_EQ(row[0], row[1]) << "a gap";
    EXPECT_EQ(row[0], row[3]) << "a record twice";
    EXPECT_EQ(row[2], "1");
    const int64_t count = std::stoll(*row[0]);
    EXPECT_GE(count, before);
    before = count;
    ++looks;
    EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
    return count == 8000;
  });
  EXPECT_GT(looks, 1);
  runtime->stop();
}

TEST_F(SegmentsFlowTest, RetentionRemovesTheOldestAndKeepsTheRest) {
  app::AppFile file = rolled_app();
  run_and_roll(plan_of(file), events(3000));
  uint64_t newest = 0, kept_bytes = 0;
  size_t files = 0;
  {
    const auto store = open_store();
    const auto segments = store::segments_of(*store, Log::kEvents, PartitionId{1}).value();
    files = segments.size();
    ASSERT_GT(files, 3u);
    newest = segments.back().to.value();
    kept_bytes = segments.back().bytes + segments[files - 2].bytes;
  }
  file.retention.events.max_size_bytes = static_cast<int64_t>(kept_bytes);
  const auto runtime = start(plan_of(file), events(3000));
  wait_until("retention", [&] {
    return store::segments_of(runtime->store(), Log::kEvents, PartitionId{1})->size() <= 2;
  });
  EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
  runtime->stop();
  const auto& store = runtime->store();
  const auto left = store::segments_of(store, Log::kEvents, PartitionId{1}).value();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left.back().to.value(), newest);
  const auto events_left = history_of(store);
  EXPECT_TRUE(events_left.front().starts_with(std::to_string(left.front().from.value()) + " "));
  EXPECT_EQ(one(*sql(), "select count(*) from decisions"), "3000 ");
  EXPECT_EQ(one(*sql(), "select min(seq) from events_metrics"),
            std::to_string(left.front().from.value()) + " ");
  EXPECT_EQ(event_files(), 2u) << "files of dropped segments";
}

// After a power cut, a row whose file is gone would be damage: the start would refuse.
TEST_F(SegmentsFlowTest, AFileGoesWhenNothingBringsItsRowBack) {
  run_and_roll(plan_of(rolled_app()), events(3000));
  const size_t files = event_files();
  ASSERT_GT(files, 3u);
  app::AppFile file = rolled_app();
  file.segments.every_us = 3600'000'000;  // it looks when it is asked
  file.retention.events.max_size_bytes = 1;
  // Nothing new becomes a segment: the drop alone asks for more than a process keeps.
  store::SegmentSteps steps = store::real_segment_steps();
  steps.sync_file = [](const std::string& path) -> Result<void> {
    return Error{ErrorCode::kExhausted, "the disk is full", path, ""};
  };
  const auto runtime = start(plan_of(file), events(3000), steps);
  store::Lane& lane = runtime->events();
  // From here on nothing becomes durable until the promise is kept.
  std::promise<void> go_on;
  std::atomic<bool> waits{false}, looked{false};
  {
    auto held = lane.hold();
    held.open().then.emplace_back([&, until = go_on.get_future().share()] {
      waits = true;
      until.wait();
    });
  }
  lane.hurry();
  wait_until("a committer that waits", [&] { return waits.load(); });
  runtime->roller().roll_soon([&](const Result<void>&) { looked = true; });
  wait_until("a drop that survives a power cut", [&] {
    auto held = lane.hold();
    return held.open().durability() == store::Durability::kMachine && !held.open().then.empty();
  });
  EXPECT_EQ(event_files(), files) << "gone before it is durable that they may go";
  go_on.set_value();
  wait_until("retention", [&] { return looked.load(); });
  EXPECT_EQ(event_files(), 0u);
  runtime->stop();
}

TEST_F(SegmentsFlowTest, LabelsAreReadFromSegments) {
  const auto plan = plan_of(rolled_app());
  run_and_roll(plan, events(300));
  Seq labelled;
  {
    const auto store = open_store();
    const auto last = store->last_seq(Log::kJournal, store::kJournalPartition);
    store::IncidentBody incident;
    incident.kind = store::IncidentBody::kEnded;
    incident.id = "inc-1";
    incident.state = "ended";
    incident.started_us = 1'000'000;
    incident.ends_us = 2'000'000;
    std::string bytes;
    schema::encode_journal(store::journal_record(incident, 1), bytes);
    store::Txn txn;
    txn.append(Log::kJournal, store::kJournalPartition, labelled = next(*last), bytes);
    ASSERT_TRUE(store->commit(txn, store::Durability::kProcess).ok());
  }
  run_and_roll(plan, events(300));
  const auto store = open_store();
  EXPECT_GT(store::segments_of(*store, Log::kJournal, store::kJournalPartition)->back().to,
            labelled);
  EXPECT_EQ(app::read_label_counts(*store, *plan, 0, {})->real, 1u);
}

TEST_F(SegmentsFlowTest, SqlOverSegmentsComputesTheFeaturesThatDecided) {
  const auto plan = plan_of(rolled_app());
  run_and_roll(plan, events(1500));
  {  // what a generated source does not give: events that came late, too late, and twice
    const auto store = open_store();
    std::vector<std::string> again;
    EXPECT_TRUE(store::History(*store)
                    .scan(Log::kEvents, PartitionId{1}, Seq{900}, Seq{1100},
                          [&](Seq, std::string_view bytes) {
                            again.emplace_back(bytes);
                            return true;
                          })
                    .ok());
    store::Txn txn;
    Seq seq{1500};
    for (const std::string& bytes : again) {
      const auto event = schema::decode_event(bytes).value();
      schema::EventFacts facts = event.facts;
      facts.seq = seq = next(seq);
      constexpr schema::EventStatus kStatuses[] = {schema::EventStatus::kLateRepaired,
                                                   schema::EventStatus::kLateDropped,
                                                   schema::EventStatus::kDuplicate};
      facts.status = kStatuses[seq.value() % 3];
      std::string stored;
      schema::encode_event(facts, event.schema_fingerprint, event.row_bytes, stored);
      txn.append(Log::kEvents, PartitionId{1}, seq, stored);
    }
    ASSERT_TRUE(store->commit(txn, store::Durability::kProcess).ok());
  }
  run_and_roll(plan, events(1500));
  const auto store = open_store();
  app::AppParityOptions options;
  options.history_reads = 300;
  features::ParityReport report;
  const auto compared = app::parity_of_segments(*plan, *store, options, report);
  ASSERT_TRUE(compared.ok()) << compared.error().to_string();
  EXPECT_EQ(report.outside(), 0u) << report.to_text();
  EXPECT_GT(report.rows(), 1000u);
  EXPECT_EQ(one(*sql(),
                "select count(*), count(*) filter (where status = 'duplicate') from "
                "events_metrics"),
            "1700 67 ");
}

TEST_F(SegmentsFlowTest, AFailureLosesNothingAndIsTriedAgain) {
  app::AppFile file = rolled_app();
  std::atomic<bool> full{true};
  app::RuntimeOptions options;
  options.data_folder = root_;
  options.roller.steps.sync_file = [&](const std::string& path) -> Result<void> {
    if (full) return Error{ErrorCode::kExhausted, "the disk is full", path, ""};
    return store::real_segment_steps().sync_file(path);
  };
  options.make_source = [](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(events(2000)));
  };
  const auto runtime =
      app::Runtime::start(plan_of(file), options, real_clock(), metrics_, nullptr).value();
  wait_until("the end of the events", [&] { return runtime->finished(); });
  Result<void> failed;
  wait_until("states on disk", [&] {
    failed = runtime->roller().roll_now(60'000'000);
    return !failed.ok();
  });
  EXPECT_EQ(failed.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(store::all_segments(runtime->store())->size(), 0u);
  EXPECT_EQ(tail_of(runtime->store(), Log::kEvents), 2000u);
  for (const auto& entry : std::filesystem::directory_iterator(root_ + "/segments"))
    EXPECT_EQ(entry.path().filename(), "views.sql");
  EXPECT_GT(metrics_.counter("quickwater_segment_failures_total", "").value(), 0u);
  full = false;
  EXPECT_TRUE(runtime->roller().roll_now(60'000'000).ok());
  EXPECT_GT(store::all_segments(runtime->store())->size(), 0u);
  EXPECT_EQ(history_of(runtime->store()).size(), 4000u);
  runtime->stop();
}

}  // namespace
}  // namespace qw::test
