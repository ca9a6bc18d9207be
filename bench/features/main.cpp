// bench_features [--json]: what features cost. CPU time of one event with its read, by how many
// rows the longest of 20 windows holds, also of an entity in several partitions; events a second
// that states take in; one read of 50 features; memory of a key. docs/adr/0007-aggregate-kernels.md
// reads the result.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "arguments.h"
#include "base/env.h"
#include "features/stream/key_join.h"
#include "features/stream/key_state.h"
#include "report.h"

namespace qw::bench {
namespace {

using features::FeatureRow;
using features::KeyState;
using features::View;
using features::ViewPtr;
using features::ViewWorker;

constexpr int64_t kStepUs = 1'000;  // between two events of a key
constexpr int64_t kStartUs = 1'700'000'000'000'000;
constexpr size_t kRows[] = {20, 200, 2'000, 20'000};
constexpr int64_t kMeasureNs = 1'000'000'000;
constexpr size_t kBatch = 1'024;

int64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::shared_ptr<const schema::Schema> source() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"k", schema::kString}, {"x", schema::kDouble}});
}

// Windows of equal steps, of which the longest holds `rows`.
ViewPtr make_view(size_t windows, size_t rows,
                  const std::vector<features::AggregateDefinition>& aggregates, bool stepped) {
  features::ViewDefinition definition{"v", "src", {"k"}, {}, aggregates};
  for (size_t w = 1; w <= windows; ++w)
    definition.windows.push_back(fmt::format(
        "{}us{}", static_cast<int64_t>(w * rows) * kStepUs / static_cast<int64_t>(windows),
        stepped ? fmt::format("/{}us", kStepUs * 10) : ""));
  auto view = View::compile(definition, source(), 0);
  QW_ASSERT(view.ok());
  return *view;
}

std::vector<features::AggregateDefinition> plain_aggregates() {
  return {
      {"n", "count(x)"}, {"sum", "sum(x)"}, {"avg", "mean(x)"}, {"lo", "min(x)"}, {"hi", "max(x)"}};
}

// Events of one key, one each kStepUs.
class Stream {
 public:
  explicit Stream(ViewPtr view) : worker_(view), state_(*view), rows_(source()) {
    Random random(1);
    for (size_t i = 0; i < kBatch; ++i)
      rows_.append_row({std::string("key"), random.uniform() * 1'000});
  }
  void apply() {
    ++seq_;
    state_.apply(
        worker_, rows_, seq_ % kBatch,
        {PartitionId{0}, Seq{seq_}, EventTime{now()}, KnownAt{now()}, schema::EventStatus::kOk});
  }
  void read() {
    state_.read(worker_, {.event_time = EventTime{now()}, .seq = Seq{seq_}}, out_);
    sum_ += out_.cells.back().null ? 0 : out_.cells.back().d;
  }
  void fill(size_t rows) {
    for (size_t i = 0; i < rows + rows / 5; ++i) apply();
    read();
    for (size_t i = 0; i < 10; ++i) apply();
    read();
  }
  size_t bytes() const { return state_.bytes(); }
  double sum() const { return sum_; }

 private:
  int64_t now() const { return kStartUs + static_cast<int64_t>(seq_) * kStepUs; }

  ViewWorker worker_;
  KeyState state_;
  schema::Batch rows_;
  FeatureRow out_;
  uint64_t seq_ = 0;
  double sum_ = 0;  // printed nowhere, but the work cannot be left out
};

Measurement measured(std::string name, double value, std::string unit, std::string note = "") {
  Measurement m;
  m.name = std::move(name);
  m.value = value;
  m.unit = std::move(unit);
  m.note = std::move(note);
  return m;
}

double event_ns(const ViewPtr& view, size_t rows) {
  Stream stream(view);
  stream.fill(rows);
  const int64_t began = thread_cpu_ns();
  int64_t took = 0;
  size_t events = 0;
  for (; took < kMeasureNs; took = thread_cpu_ns() - began) {
    for (size_t i = 0; i < 32; ++i) {
      stream.apply();
      stream.read();
    }
    events += 32;
  }
  return static_cast<double>(took) / static_cast<double>(events);
}

void measure_events(Report& report) {
  for (const size_t rows : kRows) {
    Measurement m = measured(fmt::format("features.event_20x5_at_{}_rows_ns", rows),
                             event_ns(make_view(20, rows, plain_aggregates(), false), rows), "ns",
                             "CPU, apply and read of 100 features");
    if (rows == 200) m.target = 2'000;
    report.add(std::move(m));
  }
  report.add(measured("features.event_20x5_stepped_at_2000_rows_ns",
                      event_ns(make_view(20, 2'000, plain_aggregates(), true), 2'000), "ns"));
  const std::pair<const char*, const char*> others[] = {{"variance", "variance(x)"},
                                                        {"last", "last(x)"},
                                                        {"count_distinct", "count_distinct(x)"},
                                                        {"quantile", "quantile(x, 0.95)"}};
  for (const auto& [name, text] : others)
    report.add(measured(fmt::format("features.event_20x_{}_at_2000_rows_ns", name),
                        event_ns(make_view(20, 2'000, {{"a", text}}, false), 2'000), "ns"));
}

// One entity whose events come in `partitions` by turns: its partitions' states, and what reads are
// made of: put together for each, or one more state that follows them.
class SpreadEntity {
 public:
  SpreadEntity(const ViewPtr& view, size_t partitions, bool follows)
      : view_(*view), worker_(view), rows_(source()), follows_(follows) {
    for (size_t i = 0; i < partitions; ++i) parts_.emplace_back(*view);
    Random random(1);
    for (size_t i = 0; i < kBatch; ++i)
      rows_.append_row({std::string("key"), random.uniform() * 1'000});
  }
  void apply() {
    ++seq_;
    const size_t rank = seq_ % parts_.size();
    schema::EventFacts facts{PartitionId{0}, Seq{seq_}, EventTime{now()}, KnownAt{now()},
                             schema::EventStatus::kOk};
    KeyState& own = parts_[rank];
    const features::Applied applied = own.apply(worker_, rows_, seq_ % kBatch, facts);
    if (!joined_) return;
    facts.seq = features::KeyJoin::seq_in(rank, facts.seq);
    joined_->follow(worker_, rows_, seq_ % kBatch, facts, applied, own.missing());
  }
  void read() {
    if (!follows_ || !joined_) {
      features::KeyJoin join(view_);
      for (size_t rank = 0; rank < parts_.size(); ++rank) join.add(rank, parts_[rank]);
      joined_ = join.finish();
    }
    joined_->read(worker_,
                  {.event_time = EventTime{now()},
                   .seq = features::KeyJoin::seq_in(seq_ % parts_.size(), Seq{seq_})},
                  out_);
    sum_ += out_.cells.back().null ? 0 : out_.cells.back().d;
    if (!follows_) joined_.reset();
  }

 private:
  int64_t now() const { return kStartUs + static_cast<int64_t>(seq_) * kStepUs; }

  const View& view_;
  ViewWorker worker_;
  schema::Batch rows_;
  const bool follows_;
  std::vector<KeyState> parts_;
  std::optional<KeyState> joined_;
  FeatureRow out_;
  uint64_t seq_ = 0;
  double sum_ = 0;
};

void measure_entities(Report& report) {
  for (const size_t rows : kRows)
    for (const size_t partitions : {size_t{2}, size_t{8}})
      for (const bool follows : {false, true}) {
        const ViewPtr view = make_view(20, rows, plain_aggregates(), false);
        SpreadEntity entity(view, partitions, follows);
        for (size_t i = 0; i < rows + rows / 5; ++i) entity.apply();
        entity.read();
        const int64_t began = thread_cpu_ns();
        int64_t took = 0;
        size_t events = 0;
        for (; took < kMeasureNs / 2; took = thread_cpu_ns() - began, ++events) {
          entity.apply();
          entity.read();
        }
        report.add(measured(fmt::format("features.entity_in_{}_partitions_{}_at_{}_rows_ns",
                                        partitions, follows ? "followed" : "joined", rows),
                            static_cast<double>(took) / static_cast<double>(events), "ns"));
      }
}

void measure_bytes(Report& report) {
  for (const size_t rows : kRows) {
    Stream stream(make_view(20, rows, plain_aggregates(), false));
    stream.fill(rows);
    report.add(measured(fmt::format("features.bytes_per_key_at_{}_rows", rows),
                        static_cast<double>(stream.bytes()), "bytes"));
  }
}

// Events of 100,000 keys from decoded batches into their states.
void measure_ingest(Report& report) {
  constexpr size_t kKeys = 100'000;
  constexpr size_t kEvents = 4'000'000;
  const ViewPtr view = make_view(20, 20, plain_aggregates(), false);
  ViewWorker worker(view);
  std::unordered_map<std::string, KeyState> states;
  std::vector<schema::Batch> batches;
  Random random(1);
  for (size_t b = 0; b < 200; ++b) {
    batches.emplace_back(source());
    for (size_t i = 0; i < kBatch; ++i)
      batches.back().append_row(
          {fmt::format("key-{}", random.below(kKeys)), random.uniform() * 1'000});
  }
  std::string key;
  uint64_t seq = 0;
  const auto ingest = [&](size_t events) {
    for (const uint64_t last = seq + events; seq < last;) {
      const schema::Batch& batch = batches[seq / kBatch % batches.size()];
      const size_t row = ++seq % kBatch;
      // So that a key has an event each kStepUs on average.
      const auto time = kStartUs + static_cast<int64_t>(seq * kStepUs / kKeys);
      key.clear();
      view->key_of(batch, row, key);
      auto found = states.find(key);
      if (found == states.end()) found = states.emplace(key, KeyState(*view)).first;
      found->second.apply(
          worker, batch, row,
          {PartitionId{0}, Seq{seq}, EventTime{time}, KnownAt{time}, schema::EventStatus::kOk});
    }
  };
  ingest(kEvents);
  const int64_t began = thread_cpu_ns();
  ingest(kEvents);
  const double seconds = static_cast<double>(thread_cpu_ns() - began) / 1e9;
  report.add({"features.ingest_events_per_s",
              static_cast<double>(kEvents) / seconds,
              "1/s",
              true,
              500'000,
              "",
              {},
              "one core, 100,000 keys of 20 rows, key and state looked up"});
}

void measure_read(Report& report) {
  constexpr size_t kKeys = 1'000;
  const ViewPtr view = make_view(10, 200, plain_aggregates(), false);
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < kKeys; ++i) {
    streams.push_back(std::make_unique<Stream>(view));
    streams.back()->fill(200);
  }
  Random random(2);
  std::vector<int64_t> took_ns;
  for (size_t i = 0; i < 50'000; ++i) {
    Stream& stream = *streams[random.below(kKeys)];
    stream.apply();
    const int64_t before_ns = real_clock().monotonic_ns();
    stream.read();
    took_ns.push_back(real_clock().monotonic_ns() - before_ns);
  }
  std::sort(took_ns.begin(), took_ns.end());
  const auto at = [&](double share) {
    return static_cast<double>(
               took_ns[static_cast<size_t>(share * static_cast<double>(took_ns.size() - 1))]) /
           1'000;
  };
  report.add(measured(
      "features.read_1x50_p99_us", at(0.99), "us",
      fmt::format("p50 {:.2f} us; one of 1,000 keys, 10 windows of up to 200 rows x 5", at(0.5))));
}

void run(bool as_json) {
  Report report("features");
  measure_events(report);
  measure_entities(report);
  measure_ingest(report);
  measure_read(report);
  measure_bytes(report);
  report.print(as_json);
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  bool as_json = false;
  qw::bench::Arguments arguments("bench_features");
  arguments.flag("--json", as_json);
  if (!arguments.read(count, words)) return 2;
  qw::bench::run(as_json);
  return 0;
}
