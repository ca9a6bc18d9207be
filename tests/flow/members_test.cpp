// Aim: an event is decided by one member of a group, also when its partition moves while the
// pipeline is full. Method: a source that hands out batches until the pipeline holds no more, and
// then, asked to serve, gives its partition up as a group would have it, after a flush. What the
// next owner would read again (behind the last position that was told durable) must not have been
// decided here. Or it says that the partition was lost: from then on nothing of it is decided,
// until it comes back.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
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

// What was decided, by partition and position.
class Decisions final : public app::Observer {
 public:
  void on_decision(const app::DecisionSeen& seen) override {
    real_clock().sleep_us(3'000);  // slower than a source waits before it serves
    const std::lock_guard lock(mutex_);
    ++decided_[{seen.record.partition.value(), seen.record.event_seq.value()}];
  }
  void on_journal(Seq, const schema::JournalRecord&) override {}
  std::map<std::pair<uint32_t, uint64_t>, int> all() const {
    const std::lock_guard lock(mutex_);
    return decided_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<uint32_t, uint64_t>, int> decided_;
};

// When the partition was lost; read after the end.
struct Loss {
  uint64_t handed_out = 0, decided = 0;
};

// Loses partition 0 while batches of it wait, has another one, and gets the first one back.
class LosingSource final : public streams::Source {
 public:
  LosingSource(const Decisions& decisions, Loss& loss) : decisions_(decisions), loss_(loss) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost& host) override {
    host_ = &host;
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t) override {
    if (!lost_) return batch(0);
    if (rounds_ < 3) return batch(1);
    if (rounds_ == 3) {
      while (durable_ < loss_.decided) real_clock().sleep_us(1'000);
      next_[0] = durable_ + 1;  // as whoever has it reads on
    }
    if (rounds_ < 6) return batch(0);
    finished_ = true;
    return streams::SourceBatch(schema_);
  }
  // The inbox is full.
  void serve() override {
    if (std::exchange(lost_, true)) return;
    loss_.handed_out = next_[0] - 1;
    const uint32_t partitions[] = {0};
    host_->lost(partitions);
    loss_.decided = decisions_.all().size();
  }
  void committed(uint32_t partition, const std::string& resume) override {
    if (partition == 0) durable_ = std::stoull(resume);
  }
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = finished_ ? streams::SourceState::kFinished : streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

 private:
  streams::SourceBatch batch(uint32_t partition) {
    if (lost_) ++rounds_;
    streams::SourceBatch batch(schema_);
    batch.partition = partition;
    for (uint64_t row = 0; row < kRowsAtOnce; ++row) {
      const uint64_t at = next_[partition]++;
      const int64_t time_us = (1'700'000'000 + static_cast<int64_t>(at)) * 1'000'000;
      batch.rows.append_row({std::string("s"), 1.0, time_us});
      batch.positions.push_back(at);
    }
    batch.resume = std::to_string(next_[partition] - 1);
    return batch;
  }

  const Decisions& decisions_;
  Loss& loss_;
  streams::SourceHost* host_ = nullptr;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  std::map<uint32_t, uint64_t> next_{{0, 1}, {1, 1}};
  std::atomic<uint64_t> durable_{0};
  std::atomic<bool> finished_{false};
  bool lost_ = false;
  int rounds_ = 0;
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
      for (const auto& [stream, seq] : pipeline.slot(0).streams()) last = seq.value();
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

TEST(Members, ASinkWritesWithASourceOfItsOwnCluster) {
  const auto open = [](const char* text) { return schema::Secret::open(text); };
  app::Source file;
  app::KafkaSource from;
  from.brokers = open("one:9092");
  from.client = {{"sasl.username", open("me")}, {"session.timeout.ms", open("6000")}};
  file.kind = from;
  app::PlanSource source;
  source.file = &file;
  app::Sink sink;
  app::KafkaSink to;
  to.brokers = open("one:9092");
  to.client = {{"sasl.username", open("me")}, {"linger.ms", open("5")}};
  const auto with = [&](const app::KafkaSink& kind, app::Send send) {
    sink.kind = kind;
    sink.send = send;
    return app::writes_with(source, sink);
  };
  EXPECT_TRUE(with(to, app::Send::kDecisions));
  EXPECT_FALSE(with(to, app::Send::kAlerts)) << "which no other member makes again";
  to.client.front().second = open("somebody else");
  EXPECT_FALSE(with(to, app::Send::kDecisions)) << "who may have no right to the source's group";
  to.client = from.client;
  to.brokers = open("two:9092");
  EXPECT_FALSE(with(to, app::Send::kDecisions));
  sink.kind = app::LogSink{};
  EXPECT_FALSE(app::writes_with(source, sink));
}

TEST_F(MembersTest, WhatALostPartitionHasInWorkIsDiscarded) {
  Decisions decisions;
  Loss loss;
  app::RuntimeOptions options;
  options.data_folder = root_;
  options.inbox_batches = 3;
  options.observers = {&decisions};
  options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(std::make_unique<LosingSource>(decisions, loss));
  };
  MetricRegistry metrics;
  auto runtime = app::Runtime::start(plan_of(value_app()), options, real_clock(), metrics, nullptr);
  ASSERT_TRUE(runtime.ok());
  wait_until("all is decided", [&] { return runtime.value()->finished(); });
  runtime.value()->stop();
  std::map<uint32_t, uint64_t> last;
  for (const auto& [place, times] : decisions.all()) {
    EXPECT_EQ(times, 1) << place.first << "@" << place.second;
    EXPECT_EQ(place.second, ++last[place.first]) << "nothing is left out";
  }
  ASSERT_EQ(last.size(), 2u);
  EXPECT_LT(loss.decided, loss.handed_out) << "nothing was in work";
  EXPECT_EQ(last.begin()->second, loss.decided + 3 * kRowsAtOnce)
      << "what waited was decided all the same, or what came back was not";
  EXPECT_EQ(last.rbegin()->second, 3 * kRowsAtOnce);
}

}  // namespace
}  // namespace qw::test
