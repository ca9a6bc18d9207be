// Generated events that go on until the test has seen enough.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>

#include "base/env.h"
#include "generated_source.h"
#include "streams/source.h"

namespace qw::test {

// Generated events without an end, until told: `after` more then.
class EndlessSource final : public streams::Source {
 public:
  EndlessSource(GeneratedOptions options, const std::atomic<bool>& enough, uint64_t after)
      : options_(options), enough_(enough), after_(after), inner_(made(options)) {}

  const std::shared_ptr<const schema::Schema>& schema() const override { return inner_->schema(); }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost& host) override {
    return inner_->open(saved, host);
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    if (enough_ && left_ == 0) left_ = after_ + 1;
    if (left_ == 1) {
      finished_ = true;
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return streams::SourceBatch(schema());
    }
    if (left_ > 1) --left_;
    real_clock().sleep_us(5000);  // a pace: a source without one has no present to catch up with
    return inner_->poll(wait_us);
  }
  void committed(uint32_t partition, const std::string& resume) override {
    inner_->committed(partition, resume);
  }
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = finished_ ? streams::SourceState::kFinished : streams::SourceState::kRunning;
    return status;
  }
  void close() override { inner_->close(); }

 private:
  static std::unique_ptr<GeneratedSource> made(GeneratedOptions options) {
    options.events = ~0ull;
    return std::make_unique<GeneratedSource>(options);
  }
  GeneratedOptions options_;
  const std::atomic<bool>& enough_;
  const uint64_t after_;  // batches
  uint64_t left_ = 0;
  std::atomic<bool> finished_{false};
  std::unique_ptr<GeneratedSource> inner_;
};

}  // namespace qw::test
