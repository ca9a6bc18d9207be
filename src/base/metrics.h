// Metric primitives. They count; exporting and judging is the monitor's work.
// Names end in their unit: _total, _seconds, _bytes, _ratio, _events, _rows, _info (checked at
// registration).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace qw {

// A number that only grows. Any thread.
class Counter {
 public:
  void add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A number that goes up and down. Any thread.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Latencies in log-linear buckets from 1 us to about 17 min, 8 buckets per doubling (9% wide),
// fixed bounds, so histograms of many processes add up. Any thread.
class LatencyHistogram {
 public:
  static constexpr int kBuckets = 8 * 30 + 1;

  void record_ns(int64_t duration_ns);
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  double sum_seconds() const {
    return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) * 1e-9;
  }
  // The upper edge, in seconds, of the bucket that holds this quantile (0..1); 0 when empty.
  double quantile_seconds(double quantile) const;
  // Values at or below `bound_us` microseconds, rounded up to a bucket's edge.
  uint64_t count_at_or_below_us(double bound_us) const;

 private:
  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> sum_ns_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

// Owns every metric of a process part. Registration takes a lock and returns a reference that lives
// as long as the registry; asking again for the same name and labels returns the same metric. Any
// thread.
class MetricRegistry {
 public:
  enum class Kind { kCounter, kGauge, kLatency };

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  LatencyHistogram& latency(std::string_view name, std::string_view help,
                            const Labels& labels = {});

  struct Sample {
    Labels labels;
    const Counter* counter = nullptr;
    const Gauge* gauge = nullptr;
    const LatencyHistogram* latency = nullptr;
  };
  struct Family {
    std::string name;
    std::string help;
    Kind kind = Kind::kCounter;
    std::vector<Sample> samples;
  };
  // A snapshot of what is registered, sorted by name; the pointers live as long as the registry.
  std::vector<Family> families() const;

 private:
  Sample& find_or_add(std::string_view name, std::string_view help, const Labels& labels,
                      Kind kind);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::deque<Counter> counters_;
  std::deque<Gauge> gauges_;
  std::deque<LatencyHistogram> latencies_;
};

}  // namespace qw
