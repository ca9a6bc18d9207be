#include "streams/connectors/host/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <mutex>

#include "base/log.h"
#include "streams/connectors/host/sample.h"

namespace qw::streams::host {
namespace {

// A whole small file; empty when it is not there (a process may end at any time).
std::string read_small(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  char buffer[16 * 1024];
  ssize_t got = 0;
  while ((got = ::read(file, buffer, sizeof buffer)) > 0 && text.size() < (4u << 20))
    text.append(buffer, static_cast<size_t>(got));
  ::close(file);
  return text;
}

std::map<uint32_t, Process> read_processes(const std::string& proc) {
  std::map<uint32_t, Process> processes;
  DIR* folder = ::opendir(proc.c_str());
  if (folder == nullptr) return processes;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    uint32_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) continue;
    if (auto process = parse_pid_stat(read_small(fmt::format("{}/{}/stat", proc, name))))
      processes.emplace(pid, std::move(*process));
  }
  ::closedir(folder);
  return processes;
}

Snapshot look(const Config& config, int64_t monotonic_ns) {
  Snapshot snapshot;
  snapshot.monotonic_ns = monotonic_ns;
  snapshot.cpu = parse_stat(read_small(config.proc + "/stat"));
  snapshot.memory = parse_meminfo(read_small(config.proc + "/meminfo"));
  snapshot.load = parse_loadavg(read_small(config.proc + "/loadavg"));
  snapshot.disks = parse_diskstats(read_small(config.proc + "/diskstats"));
  snapshot.networks = parse_net_dev(read_small(config.proc + "/net/dev"));
  if (config.top_processes > 0) snapshot.processes = read_processes(config.proc);
  return snapshot;
}

Machine this_machine() {
  return Machine{static_cast<double>(::sysconf(_SC_CLK_TCK)),
                 static_cast<double>(::sysconf(_SC_PAGESIZE))};
}

class HostSource final : public Source {
 public:
  HostSource(const Config& config, const std::string& name, const Clock& clock,
             MetricRegistry& metrics)
      : config_(config),
        clock_(clock),
        schema_(host_schema()),
        top_(config, this_machine()),
        skipped_(metrics.counter("quickwater_host_samples_skipped_total",
                                 "Samples that were not taken because the pipeline was late.",
                                 {{"source", name}})),
        clock_jumps_(metrics.counter("quickwater_host_clock_jumps_total",
                                     "Times the machine's clock was set by more than a second.",
                                     {{"source", name}})),
        left_out_(metrics.gauge("quickwater_host_processes_left_out_rows",
                                "Busy commands that the last sample did not report by name.",
                                {{"source", name}})) {}

  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }

  Result<void> open(const SavedPositions&, SourceHost&) override {
    before_ = look(config_, clock_.monotonic_ns());
    if (!before_.cpu)
      return Error{ErrorCode::kUnsupported, "the kernel's statistics cannot be read",
                   config_.proc + "/stat", "the host source needs a Linux /proc"};
    due_ns_ = before_.monotonic_ns + interval_ns();
    set_state(SourceState::kRunning);
    return {};
  }

  Result<SourceBatch> poll(int64_t wait_us) override {
    const int64_t wait_ns = due_ns_ - clock_.monotonic_ns();
    if (wait_ns > wait_us * 1000) {
      clock_.sleep_us(wait_us);
      return SourceBatch(schema_);
    }
    if (wait_ns > 0) clock_.sleep_us((wait_ns + 999) / 1000);
    return sample();
  }

  void committed(uint32_t, const std::string&) override {}
  SourceStatus status() const override {
    std::lock_guard lock(mutex_);
    return status_;
  }
  void close() override { set_state(SourceState::kClosed); }

 private:
  int64_t interval_ns() const { return config_.interval_ms * 1'000'000; }

  void set_state(SourceState state) {
    std::lock_guard lock(mutex_);
    status_.state = state;
    status_.detail = fmt::format("every {} ms", config_.interval_ms);
  }

  SourceBatch sample() {
    Snapshot now = look(config_, clock_.monotonic_ns());
    // The schedule stays on its grid: what is late by whole intervals is skipped.
    const int64_t late = (now.monotonic_ns - due_ns_) / interval_ns();
    if (late > 0) skipped_.add(static_cast<uint64_t>(late));
    due_ns_ += (late + 1) * interval_ns();

    std::vector<HostRow> rows = machine_rows(config_, before_, now);
    left_out_.set(static_cast<double>(top_.report(before_, now, rows)));
    const int64_t elapsed_us = (now.monotonic_ns - before_.monotonic_ns) / 1000;
    const Stamp stamp = next_stamp(last_stamp_us_, elapsed_us, clock_.wall_us());
    if (stamp.jumped) {
      clock_jumps_.add();
      log::warning("source.host", "the machine's clock was set");
    }
    last_stamp_us_ = stamp.time_us;
    before_ = std::move(now);
    return batch_of(rows, stamp.time_us);
  }

  SourceBatch batch_of(const std::vector<HostRow>& rows, int64_t time_us) {
    SourceBatch batch(schema_);
    for (const HostRow& row : rows) {
      const bool whole = row.entity.empty();
      batch.rows.column(0).append_string(whole ? row.metric : row.metric + "/" + row.entity);
      batch.rows.column(1).append_string(row.metric);
      if (whole)
        batch.rows.column(2).append_null();
      else
        batch.rows.column(2).append_string(row.entity);
      batch.rows.column(3).append_double(row.value);
      batch.rows.column(4).append_int(time_us);
    }
    std::lock_guard lock(mutex_);
    status_.rows += rows.size();
    return batch;
  }

  const Config config_;
  const Clock& clock_;
  std::shared_ptr<const schema::Schema> schema_;
  TopProcesses top_;
  Counter& skipped_;
  Counter& clock_jumps_;
  Gauge& left_out_;
  Snapshot before_;
  int64_t due_ns_ = 0;
  int64_t last_stamp_us_ = 0;

  mutable std::mutex mutex_;  // guards status_
  SourceStatus status_;
};

}  // namespace

Result<void> check(const Config& config) {
  const auto bad = [](const char* message) {
    return Error{ErrorCode::kBadInput, message, "host", ""};
  };
  if (config.interval_ms < 100 || config.interval_ms > 3'600'000)
    return bad("interval is outside 100 ms .. 1 h");
  if (config.top_processes > config.max_processes)
    return bad("top_processes is above max_processes");
  if (config.max_processes > 10'000) return bad("max_processes is above 10000");
  if (config.process_idle_ttl_s < 0 || config.process_idle_ttl_s > 86'400)
    return bad("process_idle_ttl is outside 0 .. 1 day");
  return {};
}

std::shared_ptr<const schema::Schema> host_schema() {
  using schema::Field;
  static const auto schema = std::make_shared<const schema::Schema>(std::vector<Field>{
      Field{"series", schema::kString, false}, Field{"metric", schema::kString, false},
      Field{"entity", schema::kString, true}, Field{"value", schema::kDouble, false},
      Field{"ts", schema::kTimestamp, false}});
  return schema;
}

Result<std::unique_ptr<Source>> make_host_source(const Config& config, const std::string& name,
                                                 const Clock& clock, MetricRegistry& metrics) {
  QW_TRY(check(config));
  return std::unique_ptr<Source>(std::make_unique<HostSource>(config, name, clock, metrics));
}

}  // namespace qw::streams::host
