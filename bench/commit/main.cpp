// bench_commit [--json] [--lanes] [--seconds N]: what an append costs its writer while others write
// (docs/adr/0006-lanes.md; N seconds, with --lanes nothing else), and what making detector states
// durable costs, by strategy: bytes written, CPU, recovery. States of 57 KB change as the shipped
// detectors change them; 20,000 events/s over 10,000 and 100,000 series. Runs a tenth of both (same
// events per series) in simulated time, as fast as it can, and states MB/s and CPU for the whole.
// docs/adr/0001-commit.md reads the result.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "base/bytes.h"
#include "base/env.h"
#include "lanes.h"
#include "report.h"
#include "store/keyed_state.h"
#include "store/store.h"

namespace qw::bench {
namespace {

using store::CheckpointPass;
using store::Durability;
using store::KeyedTable;
using store::Log;
using store::Txn;

constexpr size_t kStateBytes = 57'000;
constexpr double kEventsPerSecond = 20'000;
constexpr int kShare = 10;                // a tenth of the series and of the events
constexpr size_t kEventsPerCommit = 100;  // 5 ms of the whole
constexpr size_t kRecordBytes = 200;

// 2 KB of scalars change at every row, a 48-byte ring slot at every second, a histogram row of 128
// bytes at every eighth.
void change(std::string& bytes, uint64_t number) {
  uint64_t rows = 0;
  std::memcpy(&rows, bytes.data(), sizeof rows);
  ++rows;
  Random random(number * 0x9E3779B9 + rows);
  for (size_t at = 8; at < 2048; at += 8) {
    const uint64_t value = random.next_u64();
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  std::memcpy(bytes.data(), &rows, sizeof rows);
  const auto scatter = [&](size_t at, size_t size) {
    for (size_t i = 0; i < size; i += 8) {
      const uint64_t value = random.next_u64();
      std::memcpy(bytes.data() + at + i, &value, sizeof value);
    }
  };
  if (rows % 2 == 0) scatter(2048 + rows / 2 % 1000 * 48, 48);
  if (rows % 8 == 0) scatter(50'048 + random.below(54) * 128, 128);
}

class State final : public store::KeyedState {
 public:
  explicit State(std::string bytes) : bytes(std::move(bytes)) {}
  std::string_view image(std::string&) const override { return bytes; }
  size_t memory_bytes() const override { return bytes.size(); }
  std::string bytes;
};

// A state past its warm-up: nothing in it compresses.
std::string warm_state(uint64_t seed) {
  std::string bytes(kStateBytes, '\0');
  Random random(seed);
  for (size_t at = 8; at + 8 <= bytes.size(); at += 8) {
    const uint64_t value = random.next_u64();
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  const uint64_t rows = random.below(4000);
  std::memcpy(bytes.data(), &rows, sizeof rows);
  return bytes;
}

uint64_t series_of(std::string_view key) { return std::stoull(std::string(key.substr(7))); }

class Kind final : public store::KeyedStateKind {
 public:
  std::unique_ptr<store::KeyedState> fresh(std::string_view key) const override {
    return std::make_unique<State>(warm_state(series_of(key)));
  }
  Result<std::unique_ptr<store::KeyedState>> decode(std::string_view,
                                                    std::string_view image) const override {
    return std::unique_ptr<store::KeyedState>(std::make_unique<State>(std::string(image)));
  }
  Result<void> replay(store::KeyedState& state, std::string_view, Seq seq,
                      std::string_view) const override {
    change(static_cast<State&>(state).bytes, seq.value());
    return {};
  }
};

std::string key_of(uint64_t series) {
  std::string number = std::to_string(series);
  return "series." + std::string(8 - number.size(), '0') + number;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Bytes this process gave to write calls: log, flushes and compactions together.
double written_bytes() {
  std::ifstream io("/proc/self/io");
  for (std::string name; io >> name;) {
    double value = 0;
    io >> value;
    if (name == "wchar:") return value;
  }
  return 0;
}

double seconds_since(int64_t begun_ns) {
  return static_cast<double>(real_clock().monotonic_ns() - begun_ns) * 1e-9;
}

// One strategy on one fleet of series.
class Run {
 public:
  // replay_max_s 0: the log alone.
  Run(Report& report, std::string name, uint64_t series, double replay_max_s)
      : report_(report), name_(std::move(name)), series_(series), replay_max_s_(replay_max_s) {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-bench-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    open();
  }
  ~Run() {
    table_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void whole_state_per_event(size_t events) {
    const Meter meter(*this);
    std::vector<std::string> states;
    for (uint64_t s = 0; s < 50; ++s) states.push_back(warm_state(s));
    for (size_t i = 0; i < events; ++i) {
      append(++seq_);
      std::string& state = states[seq_ % states.size()];
      change(state, seq_);
      store::StatePages none;
      txn_.checkpoint({"o", PartitionId{0}, key_of(seq_ % states.size())}, Seq{seq_}, state, none);
      if (i % kEventsPerCommit == kEventsPerCommit - 1) commit();
    }
    meter.report(static_cast<double>(events) / (kEventsPerSecond / kShare));
  }

  void live(double simulated_s) {
    if (replay_max_s_ > 0) write_everything();
    const Meter meter(*this);
    const auto events = static_cast<uint64_t>(simulated_s * kEventsPerSecond / kShare);
    size_t states = 0;
    for (uint64_t i = 0; i < events; ++i) {
      event();
      if (i % kEventsPerCommit != kEventsPerCommit - 1) continue;
      CheckpointPass pass;
      if (replay_max_s_ > 0) pass = checkpoint(now_us());
      commit();
      table_->committed(pass.ticket);
      states += pass.states;
    }
    meter.report(simulated_s);
    if (states > 0)
      add("events_per_checkpoint", static_cast<double>(events) / static_cast<double>(states),
          "events");
  }

  // Ends without a last checkpoint, as a kill does, starts again and compares every state.
  void recover() {
    std::vector<std::string> wanted;
    for (uint64_t s = 0; s < series_; ++s) wanted.push_back(state_of(s));
    table_.reset();
    store_.reset();
    int64_t begun = real_clock().monotonic_ns();
    open();
    add("reopen", seconds_since(begun), "s");
    begun = real_clock().monotonic_ns();
    const uint64_t tail = index_tail();
    // The whole has ten times the records and the keys.
    add("index_tail", seconds_since(begun) * kShare, "s",
        std::to_string(tail * kShare) + " records");
    LatencyHistogram loads;
    double differences = 0;
    Random random(1);
    std::vector<uint64_t> order;
    for (uint64_t s = 0; s < series_; ++s) order.push_back(s);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const uint64_t s : order) {
      const int64_t before = real_clock().monotonic_ns();
      const std::string found = state_of(s);
      loads.record_ns(real_clock().monotonic_ns() - before);
      differences += found == wanted[s] ? 0 : 1;
    }
    add("load_p50", loads.quantile_seconds(0.5) * 1e6, "us");
    add("load_p99", loads.quantile_seconds(0.99) * 1e6, "us");
    add("differences", differences, "states", "after recovery", 0);
  }

 private:
  // What a stretch of work cost.
  class Meter {
   public:
    explicit Meter(Run& run) : run_(run), cpu_(cpu_seconds()), bytes_(written_bytes()) {}
    void report(double simulated_s) const {
      const double scale = kShare / simulated_s;
      run_.add("written", (written_bytes() - bytes_) * scale / 1e6, "MB/s");
      run_.add("cpu", (cpu_seconds() - cpu_) * scale * 100, "%core", "changing states included");
    }

   private:
    Run& run_;
    double cpu_;
    double bytes_;
  };

  void add(const std::string& what, double value, const std::string& unit,
           const std::string& note = {}, std::optional<double> target = {}) {
    Measurement row;
    row.name = "commit." + name_ + "." + what;
    row.value = value;
    row.unit = unit;
    row.note = note;
    row.target = target;
    report_.add(std::move(row));
  }

  void open() {
    store::StoreOptions options;
    options.folder = folder_;
    store_ = store::Store::open(options, metrics_).value();
    store::KeyedTableOptions keyed{.owner = "model/anomaly@1",
                                   .partition = PartitionId{0},
                                   .log = Log::kDecisions,
                                   .replay_max_us = static_cast<int64_t>(replay_max_s_ * 1e6),
                                   .memory_limit_bytes = size_t{2} << 30};
    table_ = std::make_unique<KeyedTable>(*store_, keyed, std::make_shared<Kind>());
  }
  int64_t now_us() const {
    return static_cast<int64_t>(static_cast<double>(seq_) / (kEventsPerSecond / kShare) * 1e6);
  }
  void append(uint64_t seq) {
    std::string record = key_of(seq * 7919 % series_);
    record.resize(kRecordBytes, 'r');
    txn_.append(Log::kDecisions, PartitionId{0}, Seq{seq}, record);
  }
  void event() {
    append(++seq_);
    const uint64_t seq = seq_;
    const auto applied = table_->apply<State>(key_of(seq * 7919 % series_), Seq{seq}, now_us(),
                                              [&](State& state) { change(state.bytes, seq); });
    QW_ASSERT(applied.ok());
  }
  CheckpointPass checkpoint(int64_t at_us) {
    const CheckpointPass pass = table_->checkpoint_some(txn_, at_us, size_t{4} << 20).value();
    txn_.put_meta("low", std::to_string(table_->low_water(Seq{seq_}).value()));
    return pass;
  }
  void commit() { QW_ASSERT(store_->commit(txn_, Durability::kProcess).ok()); }

  // Every series has a checkpoint from before, as in a fleet that has run for long.
  void write_everything() {
    for (uint64_t s = 0; s < series_; ++s) event();
    CheckpointPass pass;
    do {
      pass = checkpoint(KeyedTable::kAllAreDue);
      commit();
      table_->committed(pass.ticket);
    } while (pass.left > 0);
  }
  uint64_t index_tail() {
    const auto low = store_->get_meta("low").value();
    uint64_t count = 0;
    const Seq from{low.has_value() ? std::stoull(*low) + 1 : 1};
    QW_ASSERT(store_
                  ->scan(Log::kDecisions, PartitionId{0}, from, Seq{UINT64_MAX},
                         [&](Seq seq, std::string_view record) {
                           table_->add_pending(record.substr(0, 15), seq);
                           ++count;
                           return true;
                         })
                  .ok());
    QW_ASSERT(table_->finish_recovery(now_us()).ok());
    return count;
  }
  std::string state_of(uint64_t series) {
    std::string bytes;
    const auto seen =
        table_->with_state<State>(key_of(series), [&](const State& state) { bytes = state.bytes; });
    QW_ASSERT(seen.ok() || seen.error().code == ErrorCode::kNotFound);
    return bytes;
  }

  Report& report_;
  const std::string name_;
  const uint64_t series_;
  const double replay_max_s_;
  std::string folder_;
  MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<KeyedTable> table_;
  Txn txn_;
  uint64_t seq_ = 0;
};

// How many bytes a checkpoint writes by page size, after so many rows (keys and row heads counted).
void compare_page_sizes(Report& report) {
  constexpr double kRowBytes = 64;
  for (const int rows : {1, 5, 20}) {
    for (const size_t page : {256, 512, 1024, 4096}) {
      double total = 0;
      for (uint64_t s = 0; s < 50; ++s) {
        const std::string before = warm_state(s);
        std::string after = before;
        for (int i = 0; i < rows; ++i) change(after, s);
        for (size_t at = 0; at < kStateBytes; at += page)
          if (before.compare(at, page, after, at, page) != 0)
            total += static_cast<double>(page) + kRowBytes;
      }
      Measurement row;
      row.name = "commit.page_" + std::to_string(page) + ".rows_" + std::to_string(rows);
      row.value = total / 50;
      row.unit = "bytes";
      report.add(std::move(row));
    }
  }
}

// A grouped commit of 100 records of 200 bytes, alone on the disk.
void time_commits(Report& report) {
  for (const bool machine : {false, true}) {
    std::string folder = std::filesystem::temp_directory_path() / "qw-bench-XXXXXX";
    folder = ::mkdtemp(folder.data());
    {
      MetricRegistry metrics;
      store::StoreOptions options;
      options.folder = folder;
      const auto store = store::Store::open(options, metrics).value();
      Txn txn;
      LatencyHistogram times;
      for (uint64_t i = 1; i <= 300 * 100; ++i) {
        txn.append(Log::kDecisions, PartitionId{0}, Seq{i}, std::string(kRecordBytes, 'r'));
        if (i % 100 != 0) continue;
        const int64_t begun = real_clock().monotonic_ns();
        QW_ASSERT(store->commit(txn, machine ? Durability::kMachine : Durability::kProcess).ok());
        times.record_ns(real_clock().monotonic_ns() - begun);
      }
      for (const double quantile : {0.5, 0.99}) {
        Measurement row;
        row.name = std::string("commit.") + (machine ? "machine" : "process") +
                   (quantile < 0.9 ? ".p50" : ".p99");
        row.value = times.quantile_seconds(quantile) * 1e6;
        row.unit = "us";
        report.add(std::move(row));
      }
    }
    std::filesystem::remove_all(folder);
  }
}

void run_all(Report& report) {
  compare_page_sizes(report);
  time_commits(report);
  Run(report, "whole_per_event", 50, 0).whole_state_per_event(4000);
  for (const uint64_t series : {uint64_t{10'000}, uint64_t{100'000}}) {
    const std::string fleet = std::to_string(series / 1000) + "k";
    {
      Run log_only(report, fleet + ".log_only", series / kShare, 0);
      log_only.live(20);
      log_only.recover();
    }
    for (const int replay_max_s : {5, 10, 30}) {
      Run paged(report, fleet + ".paged_" + std::to_string(replay_max_s) + "s", series / kShare,
                replay_max_s);
      paged.live(replay_max_s * 1.5 + 5);
      paged.recover();
    }
  }
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  bool as_json = false, lanes_alone = false;
  int seconds = 10;
  qw::bench::Arguments arguments("bench_commit");
  arguments.flag("--json", as_json);
  arguments.flag("--lanes", lanes_alone);
  arguments.value("--seconds", "N", seconds);
  if (!arguments.read(count, words)) return 2;
  qw::bench::Report report("commit");
  if (const auto done = qw::bench::measure_lanes(report, seconds); !done.ok()) {
    std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
    return 1;
  }
  if (!lanes_alone) qw::bench::run_all(report);
  report.print(as_json);
  return 0;
}
