// Aim: an event is decided by one member of a group, also when its partition moves while the
// pipeline is full. Method: a source that hands out batches until the pipeline holds no more, and
// then, asked to serve, gives its partition up as a group would have it, after a flush. What the
// next owner would read again (behind the last position that was told durable) must not have been
// decided here.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "flow_run.h"

namespace qw::test {
namespace {

constexpr uint64_t kRowsAtOnce = 50;

// How the partition goes, and what was durable by then.
struct Handover {
  std::atomic<uint64_t> durable{0};
  std::atomic<uint64_t> handed_over{0};
  std::atomic<bool> gone{false};
};

class LeavingSource final : public streams::Source {
 public:
  explicit LeavingSource(Handover& handover) : handover_(handover) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost& host) override {
    host_ = &host;
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    streams::SourceBatch batch(schema_);
    if (left_) {
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return batch;
    }
    for (uint64_t row = 0; row < kRowsAtOnce; ++row, ++next_) {
      const auto second = static_cast<int64_t>(next_);
      batch.rows.append_row(
          {std::string("s"), 1.0, int64_t{1'700'000'000'000'000} + second * 1'000'000});
      batch.positions.push_back(next_);
    }
    batch.resume = std::to_string(next_ - 1);
    return batch;
  }
  // The inbox is full: the group asks for the partition.
  void serve() override {
    if (std::exchange(left_, true)) return;
    const uint32_t partitions[] = {0};
    EXPECT_TRUE(host_->flush(partitions, 60'000).ok());
    handover_.handed_over = handover_.durable.load();
    handover_.gone = true;
  }
  void committed(uint32_t, const std::string& resume) override {
    handover_.durable = std::stoull(resume);
  }
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

 private:
  Handover& handover_;
  streams::SourceHost* host_ = nullptr;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  uint64_t next_ = 1;
  bool left_ = false;
};

class MembersTest : public FlowTest {
 protected:
  // The last position that was decided here.
  uint64_t decided(Handover& handover) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.inbox_batches = 2;
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<LeavingSource>(handover));
    };
    MetricRegistry metrics;
    auto runtime =
        app::Runtime::start(plan_of(value_app()), options, real_clock(), metrics, nullptr);
    EXPECT_TRUE(runtime.ok());
    wait_until("the partition goes", [&] { return handover.gone.load(); });
    runtime.value()->stop();
    uint64_t last = 0;
    runtime.value()->between_events([&](app::Pipeline& pipeline, store::PendingCommit&) {
      for (const auto& [stream, seq] : pipeline.streams_of(0)) last = seq.value();
      return 0;
    });
    return last;
  }
};

TEST_F(MembersTest, WhatAFlushGaveUpIsNotDecidedHereAsWell) {
  Handover handover;
  EXPECT_EQ(decided(handover), handover.handed_over);
  EXPECT_GT(handover.handed_over, 0u);
}

}  // namespace
}  // namespace qw::test
