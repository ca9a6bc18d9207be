// bench_loop [--json] [--seconds N] [--series N] [--rate N]: the whole loop in one process, open
// loop. Events are due at a fixed rate, whatever the system does; latencies count from the moment
// an event was due. Then the same without pause, to see how many events one second of CPU time
// carries.
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "app/runtime/runtime.h"
#include "flow_app.h"
#include "report.h"

namespace qw {
namespace {

struct Options {
  bool json = false;
  int64_t seconds = 20;
  uint32_t series = 10'000;
  int64_t rate = 20'000;
};

// Rows that are due by now; `rate` 0: always as many as one batch holds.
class PacedSource final : public streams::Source {
 public:
  PacedSource(uint32_t series, int64_t rate, int64_t seconds)
      : series_(series),
        rate_(rate),
        end_ns_(real_clock().monotonic_ns() + seconds * 1'000'000'000) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost&) override {
    began_ns_ = real_clock().monotonic_ns();
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t) override {
    streams::SourceBatch batch(schema_);
    const int64_t now_ns = real_clock().monotonic_ns();
    finished_ = now_ns >= end_ns_;
    if (finished_) {
      real_clock().sleep_us(1000);
      return batch;
    }
    const auto due = static_cast<uint64_t>(static_cast<double>(now_ns - began_ns_) * 1e-9 *
                                           static_cast<double>(rate_));
    const uint64_t until = rate_ > 0 ? std::min(due, next_ + 1000) : next_ + 256;
    if (until <= next_) real_clock().sleep_us(200);
    // The first of the batch waited longest: all of it is counted from there.
    if (rate_ > 0 && until > next_)
      batch.arrived_ns = began_ns_ + static_cast<int64_t>(static_cast<double>(next_) * 1e9 /
                                                          static_cast<double>(rate_));
    for (; next_ < until; ++next_) {
      const double value = 50 + 10 * std::sin(static_cast<double>(next_) * 1e-4) +
                           static_cast<double>(next_ * 2654435761u % 1000) * 1e-3;
      batch.rows.append_row({fmt::format("s{}", next_ % series_), value, real_clock().wall_us()});
      batch.positions.push_back(next_ + 1);
    }
    batch.resume = std::to_string(next_);
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
  const uint32_t series_;
  const int64_t rate_;
  const int64_t end_ns_;
  std::shared_ptr<const schema::Schema> schema_ = test::metric_schema();
  int64_t began_ns_ = 0;
  uint64_t next_ = 0;
  std::atomic<bool> finished_{false};
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Runs one phase on a fresh folder; what it measured is in `metrics`. Returns CPU seconds used.
Result<double> run_phase(const Options& options, int64_t rate, MetricRegistry& metrics) {
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("qw_bench_loop_{}", rate);
  std::filesystem::remove_all(folder);
  app::AppFile file = test::flow_app();
  file.durability.replay_max_us = 30'000'000;
  QW_ASSIGN(const auto plan, app::compile_plan(std::move(file)));
  app::RuntimeOptions runtime_options;
  runtime_options.data_folder = folder.string();
  runtime_options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(
        std::make_unique<PacedSource>(options.series, rate, options.seconds));
  };
  const double before = cpu_seconds();
  QW_ASSIGN(const auto runtime,
            app::Runtime::start(plan, runtime_options, real_clock(), metrics, nullptr));
  while (!runtime->finished() && !runtime->failure()) real_clock().sleep_us(10'000);
  const double used = cpu_seconds() - before;
  runtime->stop();
  std::filesystem::remove_all(folder);
  if (const auto failure = runtime->failure()) return *failure;
  return used;
}

void add_latencies(bench::Report& report, MetricRegistry& metrics, const std::string& stage,
                   double target_p99_us) {
  const auto& histogram =
      metrics.latency("quickwater_stage_latency_seconds",
                      "From an event's arrival to the end of a stage.", {{"stage", stage}});
  const std::pair<const char*, double> quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
  for (const auto& [name, quantile] : quantiles) {
    bench::Measurement row;
    row.name = fmt::format("loop.{}_{}_us", stage, name);
    row.value = histogram.quantile_seconds(quantile) * 1e6;
    row.unit = "us";
    if (quantile == 0.99) row.target = target_p99_us;
    row.note = "upper edge of a 9% bucket";
    report.add(std::move(row));
  }
}

Result<void> run(const Options& options) {
  bench::Report report("loop");
  MetricRegistry paced;
  QW_ASSIGN(const double paced_cpu, run_phase(options, options.rate, paced));
  add_latencies(report, paced, "computed", 2'000);
  add_latencies(report, paced, "durable", 10'000);
  bench::Measurement share;
  share.name = "loop.cpu_share";
  share.value = paced_cpu / static_cast<double>(options.seconds);
  share.unit = "cores";
  share.note =
      fmt::format("{} events/s, {} series from their first event on, commit every 5 ms, fdatasync",
                  options.rate, options.series);
  report.add(std::move(share));
  MetricRegistry full;
  QW_ASSIGN(const double cpu, run_phase(options, 0, full));
  const auto events =
      full.latency("quickwater_stage_latency_seconds",
                   "From an event's arrival to the end of a stage.", {{"stage", "computed"}})
          .count();
  bench::Measurement carried;
  carried.name = "loop.events_per_s_core";
  carried.value = static_cast<double>(events) / cpu;
  carried.unit = "events/s";
  carried.higher_is_better = true;
  carried.note = "events divided by CPU seconds of all threads";
  report.add(std::move(carried));
  report.print(options.json);
  return {};
}

}  // namespace
}  // namespace qw

int main(int argc, char** argv) {
  qw::Options options;
  for (int index = 1; index < argc; ++index) {
    const std::string_view word = argv[index];
    const auto number = [&] {
      return index + 1 < argc ? std::strtoll(argv[++index], nullptr, 10) : 0;
    };
    if (word == "--json")
      options.json = true;
    else if (word == "--seconds")
      options.seconds = number();
    else if (word == "--series")
      options.series = static_cast<uint32_t>(number());
    else if (word == "--rate")
      options.rate = number();
    else {
      std::cerr << "usage: bench_loop [--json] [--seconds N] [--series N] [--rate N]\n";
      return 2;
    }
  }
  const auto done = qw::run(options);
  if (!done.ok()) std::cerr << done.error().to_string() << '\n';
  return done.ok() ? 0 : 1;
}
