// Aim: a key whose events come in several partitions of a source is one entity in every decision,
// through a kill of the process's memory and a start, for the page, and in parity. Method: events
// of each series spread over three partitions; every decision's features worked out from the events
// at the positions that its record names.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>

#include "app/parity/app_parity.h"
#include "app/runtime/rolled_logs.h"
#include "flow_run.h"
#include "store/commit/partitions.h"
#include "store/segments/history.h"

namespace qw::test {
namespace {

constexpr uint32_t kPartitions = 3;
constexpr uint32_t kSeries = 4;

// Event n of a partition, from 1. Partitions keep step within 20 rows; of "alone" all events come
// in partition 2.
class SpreadSource final : public streams::Source {
 public:
  explicit SpreadSource(uint64_t events_each) : events_each_(events_each) {}
  static std::string series_of(uint32_t partition, uint64_t n) {
    if (partition == 2 && n % 5 == 0) return "alone";
    return fmt::format("s{}", (n + partition) % kSeries);
  }
  static int64_t time_of(uint64_t n) {
    return GeneratedOptions().first_us + static_cast<int64_t>(n) * 500'000;
  }
  static double value_of(uint32_t partition, uint64_t n) {
    return static_cast<double>((n * 7 + partition) % 100);
  }

  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost&) override {
    for (const auto& [partition, resume] : saved) next_[partition] = std::stoull(resume) + 1;
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    streams::SourceBatch batch(schema_);
    const auto behind = std::min_element(next_.begin(), next_.end());
    if (*behind > events_each_) {
      finished_ = true;
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return batch;
    }
    batch.partition = static_cast<uint32_t>(behind - next_.begin());
    for (int row = 0; row < 20 && *behind <= events_each_; ++row, ++*behind) {
      batch.rows.append_row({series_of(batch.partition, *behind),
                             value_of(batch.partition, *behind), time_of(*behind)});
      batch.positions.push_back(*behind);
    }
    batch.resume = std::to_string(*behind - 1);
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
  const uint64_t events_each_;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  std::array<uint64_t, kPartitions> next_{1, 1, 1};
  std::atomic<bool> finished_{false};
};

class OneEntityTest : public FlowTest {
 protected:
  static app::AppFile spread_app() {
    app::AppFile file = value_app();
    file.sources[0].allowed_lateness_us = 15'000'000;
    file.memory.views_bytes = memory_bytes_;
    return file;
  }
  std::unique_ptr<app::Runtime> start(uint64_t events_each) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [=](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<SpreadSource>(events_each));
    };
    auto runtime =
        app::Runtime::start(plan_of(spread_app()), options, real_clock(), metrics_, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    wait_until("the end", [&] { return (*runtime)->finished() || (*runtime)->failure(); });
    EXPECT_FALSE((*runtime)->failure()) << (*runtime)->failure()->to_string();
    return std::move(runtime).value();
  }

  // Partition numbers by id, and the decision streams.
  void read_names(const store::Store& store) {
    store::Partitions partitions;
    ASSERT_TRUE(partitions.open(store).ok());
    for (const auto& [name, id] : partitions.known()) {
      const auto number = static_cast<uint32_t>(std::stoul(name.substr(name.rfind('/') + 1)));
      if (name.starts_with("metrics/")) numbers_[id] = number;
      if (name.starts_with("unusual@")) streams_.push_back(id);
    }
  }

  // What a minute's window holds at a record, by the positions that it names.
  struct Window {
    int64_t count = 0;
    double sum = 0;
    std::set<PartitionId> partitions;  // that had any event of the series at all
  };
  Window window_of(const schema::DecisionRecord& record) const {
    auto known = record.known;
    if (known.empty()) known = {{record.partition, record.event_seq}};
    Window window;
    const auto here = std::pair(numbers_.at(record.partition), record.event_seq.value());
    for (const auto& [id, seq] : known)
      for (uint64_t n = 1; n <= seq.value(); ++n) {
        const uint32_t number = numbers_.at(id);
        if (SpreadSource::series_of(number, n) != record.key) continue;
        window.partitions.insert(id);
        const int64_t time = SpreadSource::time_of(n);
        const int64_t as_of = record.as_of.value();
        if (time > as_of || (time == as_of && std::pair(number, n) > here)) continue;
        if (time <= as_of - 60'000'000) continue;
        ++window.count;
        window.sum += SpreadSource::value_of(number, n);
      }
    return window;
  }
  void check_decisions(uint64_t expected) {
    const auto store = open_store();
    read_names(*store);
    const auto plan = plan_of(spread_app());
    const auto& inputs = *plan->sources[0].inputs;
    const size_t begin = plan->sources[0].features_begin;
    const size_t n_at = *inputs.index_of("metric.n_1m") - begin;
    const size_t mean_at = *inputs.index_of("metric.mean_1m") - begin;
    uint64_t decisions = 0;
    for (const PartitionId stream : streams_)
      ASSERT_TRUE(store::History(*store)
                      .scan(store::Log::kDecisions, stream, Seq{1}, Seq{~0ull},
                            [&](Seq, std::string_view bytes) {
                              ++decisions;
                              check(schema::decode_decision(bytes).value(), n_at, mean_at);
                              return !HasFatalFailure();
                            })
                      .ok());
    EXPECT_EQ(decisions, expected);
  }
  void check(const schema::DecisionRecord& record, size_t n_at, size_t mean_at) {
    const Window window = window_of(record);
    ASSERT_TRUE(record.statuses.empty());
    ASSERT_EQ(std::get<int64_t>(record.features[n_at]), window.count) << record.key;
    ASSERT_NEAR(std::get<double>(record.features[mean_at]),
                window.sum / static_cast<double>(window.count), 1e-9);
    std::set<PartitionId> named;
    for (const auto& [id, seq] : record.known) named.insert(id);
    if (named.empty()) named.insert(record.partition);
    ASSERT_EQ(named, window.partitions) << "of " << record.key << ", which is nowhere else";
    if (window.partitions.size() == 3) ++of_all_;
  }

  // What SQL shows of the positions.
  void check_sql() {
    const auto store = open_store();
    const auto plan = plan_of(spread_app());
    const auto logs = app::rolled_logs(*plan, *store).value();
    uint64_t shown = 0;
    for (const app::RolledLog& log : logs) {
      if (log.view != "decisions") continue;
      const size_t at = *log.columns->index_of("record.known");
      ASSERT_TRUE(store::History(*store)
                      .scan(store::Log::kDecisions, log.partition, Seq{1}, Seq{~0ull},
                            [&](Seq, std::string_view bytes) {
                              const auto known = schema::decode_decision(bytes).value().known;
                              nlohmann::json expected = nlohmann::json::object();
                              for (const auto& [id, seq] : known)
                                expected[fmt::format("metrics/{}", numbers_.at(id))] = seq.value();
                              const auto row = log.row(bytes).value();
                              const auto* text = std::get_if<std::string>(&row.cells[at]);
                              EXPECT_EQ(text == nullptr ? "{}" : *text, expected.dump());
                              shown += text == nullptr ? 0 : 1;
                              return !HasFailure();
                            })
                      .ok());
    }
    EXPECT_GT(shown, 2'000u);
  }

  static inline int64_t memory_bytes_ = int64_t{256} << 20;
  std::map<PartitionId, uint32_t> numbers_;
  std::vector<PartitionId> streams_;
  uint64_t of_all_ = 0;
};

TEST_F(OneEntityTest, EveryDecisionSeesAllItsEvents) {
  start(500)->stop();
  auto runtime = start(1'000);  // goes on where it was
  const auto answer =
      runtime->pipeline().features().read("metric", "s1", EventTime{SpreadSource::time_of(1'000)});
  ASSERT_TRUE(answer.ok()) << answer.error().to_string();
  int64_t all = 0;
  for (uint32_t partition = 0; partition < kPartitions; ++partition)
    for (uint64_t n = 1'000 - 119; n <= 1'000; ++n)
      all += SpreadSource::series_of(partition, n) == "s1" ? 1 : 0;
  const auto features = answer->view->features();
  const auto n_1m = std::ranges::find(features, "n_1m", &features::Feature::name);
  EXPECT_EQ(std::get<int64_t>(answer->values[static_cast<size_t>(n_1m - features.begin())]), all);
  runtime.reset();
  check_decisions(3'000);
  check_sql();
  EXPECT_GT(of_all_, 2'000u);
}

TEST_F(OneEntityTest, IsOneAlsoWhereMemoryHoldsNone) {
  memory_bytes_ = 1;
  start(400)->stop();
  check_decisions(1'200);
  memory_bytes_ = int64_t{256} << 20;
}

TEST_F(OneEntityTest, ParityLooksOverAllPartitions) {
  start(300)->stop();
  const auto store = open_store();
  features::ParityReport report;
  const auto done = app::parity_of_history(*plan_of(spread_app()), *store, {}, report);
  ASSERT_TRUE(done.ok()) << done.error().to_string();
  EXPECT_EQ(report.outside(), 0u) << report.to_text();
  EXPECT_GT(report.rows(), 5'000u);
}

}  // namespace
}  // namespace qw::test
