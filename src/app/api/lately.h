// What happened in the last minute, from counters and histograms that only grow.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"

namespace qw::app {

// Latencies of one stage over a span. A value; NaN where nothing happened.
struct StageLately {
  std::string name;
  uint64_t count = 0;
  double p50_us = 0, p99_us = 0, p999_us = 0;
};

// Remembers snapshots of histograms, so that two of them give what lies between. One thread.
class StagesLately {
 public:
  static constexpr int64_t kSpanNs = 60'000'000'000;
  static constexpr int64_t kEveryNs = 5'000'000'000;

  explicit StagesLately(const MetricRegistry& metrics) : metrics_(metrics) {}
  // Takes a snapshot when one is due.
  void sample(int64_t now_ns);
  // From the oldest snapshot inside the span to this moment.
  std::vector<StageLately> read() const;

 private:
  // Values at or below each bucket's edge.
  using Counts = std::array<uint64_t, LatencyHistogram::kBuckets>;
  struct Shot {
    int64_t at_ns = 0;
    std::map<std::string, Counts> stages;
  };
  Shot shoot(int64_t now_ns) const;

  const MetricRegistry& metrics_;
  std::deque<Shot> shots_;
};

// How fast a number that only grows did so in the last seconds. One thread.
class RateLately {
 public:
  static constexpr int64_t kSpanNs = 10'000'000'000;
  void sample(int64_t now_ns, double value);
  // Per second; nothing before two samples.
  std::optional<double> per_s() const;

 private:
  struct Sample {
    int64_t at_ns = 0;
    double value = 0;
  };
  std::deque<Sample> samples_;
};

}  // namespace qw::app
