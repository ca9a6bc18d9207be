// Aim: a running application finds that its scores drift, says so once, asks for a training, says
// when it is over; and a restart at any place changes nothing of it.
// Method: a source made of arithmetic whose values move for a while; the journal and the file of a
// log sink are read afterwards.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/runtime/runtime.h"
#include "flow_app.h"
#include "models/package.h"

namespace qw::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// One event a second: uniform numbers, ten higher from `from` to `to`.
class MovingSource final : public streams::Source {
 public:
  explicit MovingSource(uint64_t events, uint64_t from = 6000, uint64_t to = 9000)
      : events_(events), from_(from), to_(to) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost&) override {
    if (const auto found = saved.find(0); found != saved.end())
      next_ = std::stoull(found->second) + 1;
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    streams::SourceBatch batch(schema_);
    if (next_ > events_) {
      finished_ = true;
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return batch;
    }
    for (size_t row = 0; row < 50 && next_ <= events_; ++row, ++next_) {
      Random random(next_ * 7919);
      const double moved = next_ >= from_ && next_ < to_ ? 10 : 0;
      batch.rows.append_row(
          {std::string("s"), 20 + 20 * random.uniform() + moved,
           int64_t{1'700'000'000'000'000} + static_cast<int64_t>(next_) * 1'000'000});
      batch.positions.push_back(next_);
    }
    batch.resume = std::to_string(next_ - 1);
    return batch;
  }
  void committed(uint32_t, const std::string&) override {}
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = finished_ ? streams::SourceState::kFinished : streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

 private:
  const uint64_t events_, from_, to_;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  uint64_t next_ = 1;
  std::atomic<bool> finished_{false};
};

// The score is the value itself, so that the test knows its distribution.
app::AppFile watched_app(const std::string& alerts) {
  app::AppFile file = value_app();
  app::Decision& decision = file.decisions[0];
  app::Sink sink;
  sink.name = {"pager", {12, 3}};
  sink.kind = app::LogSink{alerts};
  sink.send = app::Send::kAlerts;
  sink.retry_for_us = 3'600'000'000;
  decision.sinks.push_back(sink);
  app::Monitor monitor;
  monitor.model = {"anomaly", {13, 3}};
  monitor.every_us = 500'000'000;
  monitor.retrain = {"nightly", {13, 3}};
  file.monitors.push_back(monitor);
  return file;
}

class MonitorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / ("qw_monitors_" + std::to_string(::getpid()))).string();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string folder(const std::string& name) const { return root_ + "/" + name; }
  std::string alerts(const std::string& name) const { return root_ + "/" + name + ".jsonl"; }

  // Runs until `events` are durable and told, then stops cleanly. Returns what is then known.
  std::vector<app::DriftStatus> run(const std::string& name, app::AppFile file, uint64_t events) {
    app::RuntimeOptions options;
    options.data_folder = folder(name);
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<MovingSource>(events));
    };
    options.may_train = [&](const app::TrainingWanted& wanted) {
      const std::lock_guard lock(mutex_);
      wanted_.push_back(wanted);
      return !busy_;
    };
    MetricRegistry metrics;
    auto plan = app::compile_plan(std::move(file));
    EXPECT_TRUE(plan.ok()) << plan.error().to_string();
    auto runtime = app::Runtime::start(*plan, options, real_clock(), metrics, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    for (int waited = 0; !runtime.value()->finished() && !runtime.value()->failure(); ++waited) {
      if (waited > 60'000) {
        ADD_FAILURE() << "the loop does not finish";
        break;
      }
      real_clock().sleep_us(1000);
    }
    EXPECT_FALSE(runtime.value()->failure()) << runtime.value()->failure()->to_string();
    const auto status = runtime.value()->monitors().status();
    runtime.value()->stop();
    return status;
  }

  // The bodies of the journal's records of drift.
  std::vector<json> drifts(const std::string& name) const {
    MetricRegistry metrics;
    store::StoreOptions options;
    options.folder = folder(name);
    auto store = store::Store::open(options, metrics).value();
    std::vector<json> found;
    EXPECT_TRUE(store
                    ->scan(store::Log::kJournal, store::kJournalPartition, Seq{0}, Seq{~0ull},
                           [&](Seq, std::string_view bytes) {
                             const auto record = schema::decode_journal(bytes).value();
                             if (record.kind == "drift") found.push_back(json::parse(record.json));
                             return true;
                           })
                    .ok());
    return found;
  }
  std::vector<json> told(const std::string& name) const {
    std::vector<json> rows;
    std::ifstream file(alerts(name));
    for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
    return rows;
  }

  std::string root_;
  std::mutex mutex_;
  std::vector<app::TrainingWanted> wanted_;
  bool busy_ = false;  // what a training is asked of
};

TEST_F(MonitorsTest, DriftIsFoundToldAndSaidToBeOver) {
  const auto status = run("a", watched_app(alerts("a")), 12'000);
  const auto records = drifts("a");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0]["state"], "drifting");
  EXPECT_EQ(records[0]["model"], "anomaly");
  EXPECT_EQ(records[0]["retrain"], "nightly");
  // Uniform on 20..40 against 30..50: half of one lies below the other.
  EXPECT_NEAR(records[0]["value"].get<double>(), 0.5, 0.08);
  EXPECT_EQ(records[1]["state"], "steady");
  EXPECT_FALSE(records[1].contains("retrain"));
  const auto rows = told("a");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["status"], "firing");
  EXPECT_EQ(rows[0]["labels"]["alertname"], "drift");
  EXPECT_EQ(rows[0]["labels"]["severity"], "warning");
  EXPECT_EQ(rows[1]["status"], "resolved");
  EXPECT_EQ(rows[1]["labels"], rows[0]["labels"]) << "receivers tell alerts apart by their labels";
  EXPECT_EQ(rows[1]["alerts"][0]["startsAt"], rows[0]["alerts"][0]["startsAt"]);
  ASSERT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(wanted_[0].training, "nightly");
  EXPECT_EQ(wanted_[0].model, "anomaly");
  ASSERT_EQ(status.size(), 1u);
  EXPECT_EQ(status[0].state, monitor::DriftState::kSteady);
  EXPECT_GT(status[0].checked_us, 0);
}

TEST_F(MonitorsTest, ARestartChangesNothing) {
  run("whole", watched_app(alerts("whole")), 12'000);
  for (const uint64_t until : {100, 1'234, 1'235, 6'400, 6'999, 7'000, 9'501, 12'000})
    run("parts", watched_app(alerts("parts")), until);
  const auto whole = drifts("whole");
  EXPECT_EQ(whole.size(), 2u);
  EXPECT_EQ(drifts("parts"), whole);
  EXPECT_EQ(told("parts"), told("whole"));
}

TEST_F(MonitorsTest, ATrainingThatCannotBeMadeNowIsAskedForAgain) {
  busy_ = true;
  run("a", watched_app(alerts("a")), 7'000);
  ASSERT_EQ(wanted_.size(), 1u) << "drift was found";
  run("a", watched_app(alerts("a")), 7'100);
  ASSERT_EQ(wanted_.size(), 2u) << "the start repeats what was refused";
  busy_ = false;
  run("a", watched_app(alerts("a")), 8'000);
  ASSERT_EQ(wanted_.size(), 3u);
  run("a", watched_app(alerts("a")), 8'100);
  EXPECT_EQ(wanted_.size(), 3u) << "it was taken";
  EXPECT_EQ(wanted_[2].training, "nightly");
}

TEST_F(MonitorsTest, ALeastDistanceAndNoAlertAreHeeded) {
  app::AppFile file = watched_app(alerts("a"));
  file.monitors[0].threshold = 0.7;
  run("a", file, 12'000);
  EXPECT_TRUE(drifts("a").empty());
  file = watched_app(alerts("b"));
  file.monitors[0].alert = app::Severity::kNone;
  file.monitors[0].retrain = {};
  wanted_.clear();
  run("b", file, 9'000);
  EXPECT_EQ(drifts("b").size(), 1u);
  EXPECT_TRUE(told("b").empty());
  EXPECT_TRUE(wanted_.empty());
}

// A version of the registry whose profile says that scores are usually elsewhere.
TEST_F(MonitorsTest, AVersionIsComparedWithTheProfileOfItsPackage) {
  schema::SlicedScores elsewhere;
  Random random(1);
  for (int64_t i = 0; i < 5000; ++i) elsewhere.add(i * 1'000'000, 100 + random.uniform());
  app::AppFile file = flow_app();
  file.models[0].champion = {"anomaly", "champion", {9, 9}};
  app::Monitor monitor;
  monitor.model = {"anomaly", {13, 3}};
  monitor.every_us = 300'000'000;
  file.monitors.push_back(monitor);
  {
    auto registry = models::Registry::open(folder("a"));
    ASSERT_TRUE(registry.ok()) << registry.error().to_string();
    models::Package package;
    package.model = "anomaly";
    package.kind = "ensemble";
    package.version = registry.value()->reserve_version("anomaly").value();
    package.profile = elsewhere.profile().json();
    const std::string at = "models/anomaly/1";
    ASSERT_TRUE(models::write_package(registry.value()->folder() + "/" + at, package).ok());
    models::VersionInfo info;
    info.model = "anomaly";
    info.version = package.version;
    info.folder = at;
    info.digest = models::content_digest(package);
    ASSERT_TRUE(registry.value()->publish(info).ok());
    ASSERT_TRUE(registry.value()->promote("anomaly", package.version, 1).ok());
  }
  const auto status = run("a", file, 3'000);
  ASSERT_EQ(status.size(), 1u);
  EXPECT_EQ(status[0].served_by, "anomaly@1");
  EXPECT_EQ(status[0].state, monitor::DriftState::kDrifting);
  EXPECT_GT(status[0].look->distance, 0.99);
  EXPECT_EQ(drifts("a").at(0)["look"], 1) << "nothing had to be learned first";
}

// The registry is a database and the package a folder: neither is read while events wait.
TEST_F(MonitorsTest, NothingIsReadFromTheRegistryBetweenTwoEvents) {
  app::AppFile file = flow_app();
  app::Monitor monitor;
  monitor.model = {"anomaly", {13, 3}};
  monitor.every_us = 300'000'000;
  file.monitors.push_back(monitor);
  const auto plan = app::compile_plan(std::move(file)).value();
  store::StoreOptions options;
  options.folder = folder("a");
  MetricRegistry metrics;
  const auto store = store::Store::open(options, metrics).value();
  store::Committer committer(*store, real_clock(), metrics, {});
  ASSERT_TRUE(committer.open().ok());
  store::Lane& lane = committer.lane("events");
  store::Journal journal(real_clock());
  streams::Outboxes outboxes(*store, lane, journal, real_clock(), metrics);
  schema::SlicedScores elsewhere;
  Random random(1);
  for (int64_t i = 0; i < 5000; ++i) elsewhere.add(i * 1'000'000, 100 + random.uniform());
  int read = 0;
  bool under_lock = false;
  app::Monitors monitors(*plan, lane, journal, outboxes, real_clock(),
                         [&](const std::string&, int64_t) -> Result<std::string> {
                           ++read;
                           std::thread([&] { under_lock = !lane.is_free(); }).join();
                           return elsewhere.profile().json();
                         });
  ASSERT_TRUE(monitors.open(*store, [](size_t) { return std::map<PartitionId, Seq>(); }).ok());
  monitors.prepare(0, 1);
  ASSERT_EQ(read, 1);
  schema::DecisionRecord record;
  record.decision = "unusual";
  record.warm = true;
  for (uint64_t n = 1; n <= 1000; ++n) {
    record.model = "anomaly";
    record.version = n < 100 ? 0 : 1;
    record.event_seq = Seq{n};
    record.as_of = EventTime{static_cast<int64_t>(n) * 1'000'000};
    record.score = random.uniform();
    const auto held = lane.hold();
    monitors.on_decision({record, 0, PartitionId{2}});
  }
  EXPECT_EQ(read, 1);
  EXPECT_FALSE(under_lock);
  EXPECT_EQ(monitors.status().at(0).state, monitor::DriftState::kDrifting)
      << "compared with the reference that was read before";
}

}  // namespace
}  // namespace qw::test
