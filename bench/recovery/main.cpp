// bench_recovery [--json] [--series N] [--rate N] [--seconds N]: how long a killed process is away.
// Writes the states of N series past their warm-up, runs the whole loop on them at a rate for some
// seconds (longer than replay_max, so that a whole tail waits), kills it with -9, starts it again
// and times its first decision, then the decisions on random series during the first ten seconds.
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/runtime/runtime.h"
#include "arguments.h"
#include "flow_app.h"
#include "report.h"

namespace qw::bench {
namespace {

constexpr int64_t kWatchedNs = 10'000'000'000;
constexpr uint64_t kWarmRows = 1200;  // of each series before the run
constexpr uint64_t kShapes = 16;      // different histories among the series

struct Options {
  bool json = false;
  uint32_t series = 100'000;
  int64_t rate = 20'000;      // before the kill
  int64_t rate_after = 1000;  // of random series after it
  int64_t seconds = 45;
  // Of a child: what it is, where, and when it was started.
  std::string child, folder;
  int64_t spawned_ns = 0;
};

double value_of(uint64_t n) {
  return 50 + 10 * std::sin(static_cast<double>(n) / 30) +
         static_cast<double>(n * 2654435761u % 1000) * 1e-3;
}

// Events of random series at a rate, without end; goes on behind what was durable.
class RandomSource final : public streams::Source {
 public:
  RandomSource(uint32_t series, int64_t rate) : series_(series), rate_(rate) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost&) override {
    if (const auto found = saved.find(0); found != saved.end()) first_ = std::stoull(found->second);
    next_ = first_;
    began_ns_ = real_clock().monotonic_ns();
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t) override {
    streams::SourceBatch batch(schema_);
    const double passed_s = static_cast<double>(real_clock().monotonic_ns() - began_ns_) * 1e-9;
    const uint64_t due = first_ + static_cast<uint64_t>(passed_s * static_cast<double>(rate_));
    if (due <= next_) real_clock().sleep_us(100);
    for (const uint64_t until = std::min(due, next_ + 1000); next_ < until;) {
      Random random(++next_);
      batch.rows.append_row(
          {fmt::format("s{}", random.below(series_)), value_of(next_), real_clock().wall_us()});
      batch.positions.push_back(next_);
    }
    if (!batch.positions.empty()) batch.resume = std::to_string(next_);
    return batch;
  }
  void committed(uint32_t, const std::string&) override {}
  streams::SourceStatus status() const override { return {}; }
  void close() override {}
  int64_t due_ns(uint64_t position) const {
    return began_ns_ + static_cast<int64_t>(static_cast<double>(position - first_) * 1e9 /
                                            static_cast<double>(rate_));
  }

 private:
  const uint32_t series_;
  const int64_t rate_;
  std::shared_ptr<const schema::Schema> schema_ = test::metric_schema();
  uint64_t first_ = 0, next_ = 0;
  std::atomic<int64_t> began_ns_{0};
};

// When the first decision came, and how old each event was when it was decided.
class Watch final : public app::Observer {
 public:
  explicit Watch(const RandomSource*& source) : source_(source) {}
  void on_decision(const app::DecisionSeen& seen) override {
    const int64_t now_ns = real_clock().monotonic_ns();
    if (first_ns == 0) first_ns = now_ns;
    if (done || now_ns > first_ns + kWatchedNs) {
      done = true;
      return;
    }
    const int64_t age_ns = now_ns - source_->due_ns(seen.record.event_seq.value());
    ages_us.push_back(static_cast<uint32_t>(std::max<int64_t>(0, age_ns) / 1000));
  }
  void on_journal(Seq, const schema::JournalRecord&) override {}

  std::atomic<int64_t> first_ns{0};
  std::atomic<bool> done{false};
  std::vector<uint32_t> ages_us;  // read once done

 private:
  const RandomSource*& source_;
};

std::shared_ptr<const app::Plan> plan_of() {
  app::AppFile file = test::flow_app();
  file.durability.replay_max_us = 30'000'000;
  return app::compile_plan(std::move(file)).value();
}

Result<std::unique_ptr<app::Runtime>> start(const Options& options, int64_t rate,
                                            const RandomSource*& source, MetricRegistry& metrics,
                                            Watch* watch) {
  app::RuntimeOptions runtime;
  runtime.data_folder = options.folder;
  if (watch != nullptr) runtime.observers.push_back(watch);
  runtime.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    auto made = std::make_unique<RandomSource>(options.series, rate);
    source = made.get();
    return std::unique_ptr<streams::Source>(std::move(made));
  };
  return app::Runtime::start(plan_of(), runtime, real_clock(), metrics, nullptr);
}

// A child: runs until it is killed (`run`), or until it has watched its first seconds (`watch`).
Result<void> be_child(const Options& options) {
  const RandomSource* source = nullptr;
  Watch watch(source);
  MetricRegistry metrics;
  const bool watches = options.child == "watch";
  QW_ASSIGN(const auto runtime, start(options, watches ? options.rate_after : options.rate, source,
                                      metrics, watches ? &watch : nullptr));
  while (!runtime->failure() && !watch.done) real_clock().sleep_us(10'000);
  if (const auto failure = runtime->failure()) return *failure;
  std::ofstream(options.folder + "/seen.json")
      << nlohmann::json{{"first_s", static_cast<double>(watch.first_ns - options.spawned_ns) / 1e9},
                        {"ages_us", watch.ages_us}};
  return {};
}

// States past their warm-up, as checkpoints that hold all that was decided so far.
Result<size_t> write_states(const Options& options) {
  MetricRegistry metrics;
  const auto plan = plan_of();
  const models::LearningEngine& engine = *plan->models.front().engine;
  {
    const RandomSource* source = nullptr;
    QW_ASSIGN(const auto runtime, start(options, 1000, source, metrics, nullptr));
    real_clock().sleep_us(500'000);
    runtime->stop();
  }
  store::StoreOptions store_options;
  store_options.folder = options.folder;
  QW_ASSIGN(const auto store, store::Store::open(store_options, metrics));
  QW_ASSIGN(const auto stream, store->get_meta("partition/unusual@metrics/0"));
  QW_ASSERT(stream.has_value());
  const PartitionId partition{static_cast<uint32_t>(std::stoul(*stream))};
  QW_ASSIGN(const Seq last, store->last_seq(store::Log::kDecisions, partition));
  std::vector<std::vector<uint64_t>> shapes(kShapes);
  for (uint64_t shape = 0; shape < kShapes; ++shape) {
    shapes[shape].resize((engine.state_bytes() + 7) / 8);
    const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(shapes[shape].data()),
                                     engine.state_bytes());
    engine.init(bytes);
    const int64_t begin_us = real_clock().wall_us() - static_cast<int64_t>(kWarmRows) * 5'000'000;
    for (uint64_t row = 0; row < kWarmRows; ++row)
      engine.update_and_score(
          {begin_us + static_cast<int64_t>(row) * 5'000'000, value_of(row * kShapes + shape)},
          bytes);
  }
  store::Txn txn;
  for (uint32_t series = 0; series < options.series; ++series) {
    store::StatePages pages;
    const auto& shape = shapes[series % kShapes];
    txn.checkpoint({"model/unusual/anomaly@0", partition, fmt::format("s{}", series)}, last,
                   {reinterpret_cast<const char*>(shape.data()), engine.state_bytes()}, pages);
    if (txn.bytes() > (4u << 20)) QW_TRY(store->commit(txn, store::Durability::kProcess));
  }
  QW_TRY(store->commit(txn, store::Durability::kMachine));
  return engine.state_bytes();
}

// Starts this program again as a child.
pid_t spawn(const Options& options, const std::string& child) {
  const std::vector<std::string> words = {"/proc/self/exe",
                                          "--child",
                                          child,
                                          "--folder",
                                          options.folder,
                                          "--series",
                                          std::to_string(options.series),
                                          "--rate",
                                          std::to_string(options.rate),
                                          "--spawned-ns",
                                          std::to_string(real_clock().monotonic_ns())};
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  QW_ASSERT(posix_spawn(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0);
  return pid;
}

uint64_t disk_bytes(const std::string& folder) {
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) total += entry.file_size();
  return total;
}

void add(Report& report, const std::string& name, double value, const std::string& unit,
         std::optional<double> target, const std::string& note) {
  Measurement row;
  row.name = name;
  row.value = value;
  row.unit = unit;
  row.target = target;
  row.note = note;
  report.add(std::move(row));
}

Result<void> run(Options options) {
  options.folder = (std::filesystem::temp_directory_path() /
                    fmt::format("qw_bench_recovery_{}", real_clock().monotonic_ns()))
                       .string();
  QW_ASSIGN(const size_t state_bytes, write_states(options));
  const pid_t killed = spawn(options, "run");
  real_clock().sleep_us(options.seconds * 1'000'000);
  kill(killed, SIGKILL);
  int status = 0;
  waitpid(killed, &status, 0);
  const double on_disk = static_cast<double>(disk_bytes(options.folder));
  waitpid(spawn(options, "watch"), &status, 0);
  nlohmann::json seen;
  std::ifstream(options.folder + "/seen.json") >> seen;
  std::filesystem::remove_all(options.folder);
  auto ages = seen["ages_us"].get<std::vector<uint32_t>>();
  std::sort(ages.begin(), ages.end());
  const auto age = [&](double quantile) {
    return ages.empty()
               ? 0.0
               : static_cast<double>(
                     ages[static_cast<size_t>(quantile * static_cast<double>(ages.size() - 1))]);
  };
  Report report("recovery");
  add(report, options.series == 100'000 ? "recovery.seconds_100k_series" : "recovery.seconds",
      seen["first_s"], "s", 3,
      fmt::format("{} series, killed after {} s at {} events/s; from the start of the process to "
                  "its first decision",
                  options.series, options.seconds, options.rate));
  add(report, "recovery.state_bytes",
      static_cast<double>(state_bytes) * static_cast<double>(options.series), "bytes", {},
      fmt::format("{} a series; the data folder holds {:.0f} MB", state_bytes, on_disk / 1e6));
  const std::string first = fmt::format(
      "random series, {} events/s, the first 10 s after the "
      "source opened; {} events",
      options.rate_after, ages.size());
  add(report, "recovery.first_10s_p50_us", age(0.5), "us", {}, first);
  add(report, "recovery.first_10s_p99_us", age(0.99), "us", {}, first);
  report.print(options.json);
  return {};
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  qw::bench::Options options;
  qw::bench::Arguments arguments("bench_recovery");
  arguments.flag("--json", options.json);
  arguments.value("--series", "N", options.series);
  arguments.value("--rate", "N", options.rate);
  arguments.value("--seconds", "N", options.seconds);
  arguments.value("--child", "run|watch", options.child);
  arguments.value("--folder", "DIR", options.folder);
  arguments.value("--spawned-ns", "N", options.spawned_ns);
  if (!arguments.read(count, words)) return 2;
  const auto done = options.child.empty() ? qw::bench::run(options) : qw::bench::be_child(options);
  if (!done.ok()) std::cerr << done.error().to_string() << '\n';
  return done.ok() ? 0 : 1;
}
