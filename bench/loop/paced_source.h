// The load of bench_loop: events of many series, first to fill the states, then at a fixed rate
// whatever the system does, then as many as it takes; and when each event was decided and durable.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <mutex>
#include <vector>

#include "app/runtime/observer.h"
#include "base/env.h"
#include "generated_source.h"

namespace qw::bench {

struct LoadOptions {
  // At the fixed rate, half of it without pace: long enough that states are checkpointed and logs
  // rolled for most of it.
  int64_t seconds = 60;
  uint32_t series = 10'000;
  int64_t rate = 20'000;
  uint64_t warm_rows = 100;      // of each series, before anything is measured
  uint64_t deliver_every = 500;  // every so many events are told to the webhook
};

// The latencies of the events at a fixed rate, each from the moment it was due. One writer for each
// list; read when all are in.
struct Latencies {
  uint64_t first = 0;  // position of the first measured event
  std::vector<uint32_t> computed_us, durable_us;
  std::mutex delivered_mutex;
  std::vector<uint32_t> delivered_us;
};

class PacedSource final : public streams::Source {
 public:
  PacedSource(const LoadOptions& options, Latencies& latencies)
      : options_(options), latencies_(latencies) {
    warm_until_ = options.warm_rows * options.series;
    paced_until_ = warm_until_ + static_cast<uint64_t>(options.rate * options.seconds);
    latencies.first = warm_until_ + 1;
    latencies.computed_us.assign(paced_until_ - warm_until_, 0);
    latencies.durable_us.assign(paced_until_ - warm_until_, 0);
  }
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost&) override { return {}; }
  Result<streams::SourceBatch> poll(int64_t) override;
  void committed(uint32_t, const std::string& resume) override;
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = finished_ ? streams::SourceState::kFinished : streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

  // Microseconds since a measured event was due; nothing for others. Any thread.
  std::optional<uint32_t> age_us(uint64_t position, int64_t now_ns) const {
    if (position <= warm_until_ || position > paced_until_) return std::nullopt;
    return static_cast<uint32_t>(std::max<int64_t>(0, now_ns - due_ns(position)) / 1000);
  }
  // CPU seconds of the process: at the fixed rate, and without pace with its number of events.
  double paced_cpu_s() const { return paced_cpu_s_; }
  double full_cpu_s() const { return full_cpu_s_; }
  uint64_t full_events() const { return next_ - paced_until_; }

 private:
  static double cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
  int64_t due_ns(uint64_t position) const {
    return began_ns_ + static_cast<int64_t>(static_cast<double>(position - warm_until_) * 1e9 /
                                            static_cast<double>(options_.rate));
  }
  // The last position that may be read now.
  uint64_t due();
  bool wait_until_durable();
  void add(streams::SourceBatch& batch, uint64_t position) const;

  const LoadOptions options_;
  Latencies& latencies_;
  std::shared_ptr<const schema::Schema> schema_ = test::metric_schema();
  uint64_t warm_until_ = 0, paced_until_ = 0;
  std::atomic<int64_t> began_ns_{0};
  int64_t full_began_ns_ = 0;
  double cpu_before_s_ = 0, paced_cpu_s_ = 0, full_cpu_s_ = 0;
  uint64_t next_ = 0;  // read so far
  std::atomic<uint64_t> durable_{0};
  std::atomic<bool> finished_{false};
};

inline bool PacedSource::wait_until_durable() {
  if (durable_ >= next_) return true;
  real_clock().sleep_us(1000);
  return false;
}

inline uint64_t PacedSource::due() {
  const int64_t now_ns = real_clock().monotonic_ns();
  if (next_ < warm_until_) return std::min(warm_until_, next_ + 1000);
  if (next_ == warm_until_ && began_ns_ == 0) {
    if (!wait_until_durable()) return next_;
    began_ns_ = now_ns;
    cpu_before_s_ = cpu_s();
  }
  if (next_ < paced_until_) {
    const auto due = warm_until_ + static_cast<uint64_t>(static_cast<double>(now_ns - began_ns_) *
                                                         1e-9 * static_cast<double>(options_.rate));
    return std::min({due, paced_until_, next_ + 1000});
  }
  if (full_began_ns_ == 0) {
    if (!wait_until_durable()) return next_;
    paced_cpu_s_ = cpu_s() - cpu_before_s_;
    full_began_ns_ = now_ns;
    cpu_before_s_ = cpu_s();
  }
  if (now_ns - full_began_ns_ < options_.seconds * 500'000'000) return next_ + 256;
  if (!finished_ && wait_until_durable()) {
    full_cpu_s_ = cpu_s() - cpu_before_s_;
    finished_ = true;
  }
  return next_;
}

inline void PacedSource::add(streams::SourceBatch& batch, uint64_t position) const {
  double value = 50 + 10 * std::sin(static_cast<double>(position) * 1e-4) +
                 static_cast<double>(position * 2654435761u % 1000) * 1e-3;
  if (position % options_.deliver_every == 0 && age_us(position, 0)) value = 100;
  batch.rows.append_row(
      {fmt::format("s{}", position % options_.series), value, real_clock().wall_us()});
  batch.positions.push_back(position);
}

inline Result<streams::SourceBatch> PacedSource::poll(int64_t) {
  streams::SourceBatch batch(schema_);
  const uint64_t until = due();
  if (until <= next_) {
    real_clock().sleep_us(100);
    return batch;
  }
  if (age_us(next_ + 1, 0)) batch.arrived_ns = due_ns(next_ + 1);
  while (next_ < until) add(batch, ++next_);
  batch.resume = std::to_string(next_);
  return batch;
}

inline void PacedSource::committed(uint32_t, const std::string& resume) {
  const uint64_t until = std::stoull(resume);
  const int64_t now_ns = real_clock().monotonic_ns();
  for (uint64_t position = durable_ + 1; position <= until; ++position)
    if (const auto age = age_us(position, now_ns))
      latencies_.durable_us[position - latencies_.first] = *age;
  durable_ = until;
}

// Notes when each event was decided.
class DecisionTimes final : public app::Observer {
 public:
  DecisionTimes(const PacedSource*& source, Latencies& latencies)
      : source_(source), latencies_(latencies) {}
  void on_decision(const app::DecisionSeen& seen) override {
    const uint64_t position = seen.record.event_seq.value();
    if (const auto age = source_->age_us(position, real_clock().monotonic_ns()))
      latencies_.computed_us[position - latencies_.first] = *age;
  }
  void on_journal(Seq, const schema::JournalRecord&) override {}

 private:
  const PacedSource*& source_;
  Latencies& latencies_;
};

}  // namespace qw::bench
