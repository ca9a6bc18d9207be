// Aim: when somebody sets the machine's clock, an hour back or a year ahead, no event is lost or
// judged late by it, and alerts neither fire nor end by it; docs/reference/semantics.md says what
// does change.
// Method: the running application on a clock that jumps between events whose own times do not; the
// log, the dead letters and the journal are read afterwards.
#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "flow_run.h"

namespace qw::test {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3'600 * kSecond;
constexpr int64_t kYear = 365 * 24 * kHour;

// The machine's clock, set wrong by `off_us`.
class WrongClock final : public Clock {
 public:
  int64_t wall_us() const override { return real_clock().wall_us() + off_us; }
  int64_t monotonic_ns() const override { return real_clock().monotonic_ns(); }
  void sleep_us(int64_t duration_us) const override { real_clock().sleep_us(duration_us); }
  std::atomic<int64_t> off_us{0};
};

// One event a second of its own time, ten minutes ago; as many as it is asked for. Events 121 to
// 140 are far off.
class AskedSource final : public streams::Source {
 public:
  AskedSource(const std::atomic<uint64_t>& asked, int64_t first_us)
      : asked_(asked), first_us_(first_us) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost&) override { return {}; }
  Result<streams::SourceBatch> poll(int64_t) override {
    streams::SourceBatch batch(schema_);
    while (given_ < asked_) {
      const uint64_t n = ++given_;
      batch.rows.append_row({std::string("s"), n > 120 && n <= 140 ? 1000.0 : 1.0,
                             first_us_ + static_cast<int64_t>(n) * kSecond});
      batch.positions.push_back(n);
    }
    batch.resume = std::to_string(given_);
    if (batch.positions.empty()) real_clock().sleep_us(1000);
    return batch;
  }
  void committed(uint32_t, const std::string&) override {}
  streams::SourceStatus status() const override { return {}; }
  void close() override {}

 private:
  const std::atomic<uint64_t>& asked_;
  const int64_t first_us_;
  uint64_t given_ = 0;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
};

class ClockFlow : public FlowTest {
 protected:
  static size_t count(const std::vector<JournalLine>& journal, const std::string& kind) {
    return static_cast<size_t>(
        std::ranges::count(journal, kind, [](const JournalLine& line) { return line.first; }));
  }
  static size_t count(const store::Store& store, store::Log log, PartitionId partition) {
    size_t records = 0;
    EXPECT_TRUE(store
                    .scan(log, partition, Seq{}, Seq{~0ull},
                          [&](Seq, std::string_view) {
                            ++records;
                            return true;
                          })
                    .ok());
    return records;
  }
};

TEST_F(ClockFlow, AClockThatJumpsLosesNoEventAndMakesNoAlert) {
  app::AppFile file = flow_app();
  file.decisions.front().output = {
      {{"severity", {11, 3}}, text("case when value > 900 then 'critical' end")}};
  WrongClock clock;
  std::atomic<uint64_t> asked{0};
  const int64_t first_us = real_clock().wall_us() - 600 * kSecond;
  app::RuntimeOptions options;
  options.data_folder = root_;
  options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(std::make_unique<AskedSource>(asked, first_us));
  };
  MetricRegistry metrics;
  auto started = app::Runtime::start(plan_of(file), options, clock, metrics, nullptr);
  ASSERT_TRUE(started.ok()) << started.error().to_string();
  app::Runtime& runtime = **started;
  const auto gate = [&] {
    return runtime.between_events(
        [](app::Pipeline& pipeline, store::PendingCommit&) { return pipeline.gate(0).counts(); });
  };
  const auto give = [&](int64_t off_us, uint64_t events) {
    clock.off_us = off_us;
    asked += events;
    wait_until("every event is judged", [&] {
      const streams::GateCounts counts = gate();
      return counts.ok + counts.late_repaired + counts.late_dropped + counts.future == asked;
    });
  };

  give(0, 100);
  EXPECT_EQ(gate().ok, 100u);
  give(-kHour, 20);
  EXPECT_EQ(gate().future, 20u) << "more than max_future ahead of the clock";
  give(kYear, 20);
  give(0, 60);
  EXPECT_EQ(gate().ok, 180u) << "the year moved no watermark";
  runtime.stop();
  EXPECT_FALSE(runtime.failure());
  started.value().reset();

  const auto store = open_store();
  PartitionId events;
  ASSERT_TRUE(store->get_meta("partition/metrics/0").value().has_value());
  events = PartitionId{
      static_cast<uint32_t>(std::stoul(*store->get_meta("partition/metrics/0").value()))};
  EXPECT_EQ(count(*store, store::Log::kEvents, events), 180u);
  EXPECT_EQ(count(*store, store::Log::kDeadLetters, store::kJournalPartition), 20u);
  const auto journal = journal_of(*store);
  EXPECT_EQ(count(journal, "alert_fired"), 1u) << "20 s above, and once";
  EXPECT_EQ(count(journal, "alert_resolved"), 1u) << "by the events after them";
}

}  // namespace
}  // namespace qw::test
