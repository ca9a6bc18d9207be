// A replayable source made of arithmetic: the same events at every start, resumed where it was
// durable.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <string>

#include "base/env.h"
#include "streams/source.h"

namespace qw::test {

inline std::shared_ptr<const schema::Schema> metric_schema() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"series", schema::kString, false},
                                 {"value", schema::kDouble, true},
                                 {"ts", schema::kTimestamp, false}});
}

struct GeneratedOptions {
  uint64_t events = 10'000;
  uint32_t series = 10;
  uint64_t seed = 1;
  int64_t first_us = 1'700'000'000'000'000;
  size_t batch_rows = 100;
  uint64_t spike_every = 1000;  // every so many events of a series, `spike_rows` far-off values
  uint64_t spike_rows = 8;
};

// Event n (from 1) belongs to series n % series, one second after that series' event before.
class GeneratedSource final : public streams::Source {
 public:
  explicit GeneratedSource(GeneratedOptions options) : options_(options) {}

  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost&) override {
    if (const auto found = saved.find(0); found != saved.end())
      next_ = std::stoull(found->second) + 1;
    return {};
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    streams::SourceBatch batch(schema_);
    if (next_ > options_.events) {
      finished_ = true;
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return batch;
    }
    for (size_t row = 0; row < options_.batch_rows && next_ <= options_.events; ++row, ++next_)
      add(batch, next_);
    batch.resume = std::to_string(next_ - 1);
    return batch;
  }
  void committed(uint32_t, const std::string& resume) override { durable_ = std::stoull(resume); }
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = finished_ ? streams::SourceState::kFinished : streams::SourceState::kRunning;
    return status;
  }
  void close() override {}
  uint64_t durable() const { return durable_; }

 private:
  void add(streams::SourceBatch& batch, uint64_t n) const {
    const uint64_t series = n % options_.series;
    const uint64_t turn = n / options_.series;
    Random random(options_.seed * 1'000'003 + n);
    double value = 50 + 10 * std::sin(static_cast<double>(turn) / 30.0) + random.uniform();
    if (turn % options_.spike_every >= options_.spike_every - options_.spike_rows) value += 500;
    batch.rows.append_row({fmt::format("s{}", series), value,
                           options_.first_us + static_cast<int64_t>(turn) * 1'000'000});
    batch.positions.push_back(n);
  }

  GeneratedOptions options_;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  uint64_t next_ = 1;
  std::atomic<bool> finished_{false};
  std::atomic<uint64_t> durable_{0};
};

}  // namespace qw::test
