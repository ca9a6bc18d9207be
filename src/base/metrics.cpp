#include "base/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/result.h"

namespace qw {
namespace {

// Bucket b > 0 covers (edge(b-1), edge(b)] microseconds; bucket 0 covers up to 1 us.
double bucket_edge_us(int bucket) { return std::exp2(static_cast<double>(bucket) / 8.0); }

int bucket_of_us(double us) {
  if (us <= 1.0) return 0;
  const int bucket = static_cast<int>(std::ceil(std::log2(us) * 8.0 - 1e-9));
  return std::min(bucket, LatencyHistogram::kBuckets - 1);
}

bool has_unit(std::string_view name) {
  for (std::string_view unit : {"_total", "_seconds", "_bytes", "_ratio", "_events", "_rows",
                                "_files", "_info", "_connections", "_keys", "_ids"})
    if (name.ends_with(unit)) return true;
  return false;
}

}  // namespace

void LatencyHistogram::record_ns(int64_t duration_ns) {
  const int64_t kept_ns = std::max<int64_t>(duration_ns, 0);
  const int bucket = bucket_of_us(static_cast<double>(kept_ns) * 1e-3);
  buckets_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(kept_ns, std::memory_order_relaxed);
}

double LatencyHistogram::quantile_seconds(double quantile) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total)));
  uint64_t seen = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[static_cast<size_t>(bucket)].load(std::memory_order_relaxed);
    if (seen >= std::max<uint64_t>(wanted, 1)) return bucket_edge_us(bucket) * 1e-6;
  }
  return bucket_edge_us(kBuckets - 1) * 1e-6;
}

uint64_t LatencyHistogram::count_at_or_below_us(double bound_us) const {
  uint64_t seen = 0;
  const int last = bucket_of_us(bound_us);
  for (int bucket = 0; bucket <= last; ++bucket)
    seen += buckets_[static_cast<size_t>(bucket)].load(std::memory_order_relaxed);
  return seen;
}

MetricRegistry::Sample& MetricRegistry::find_or_add(std::string_view name, std::string_view help,
                                                    const Labels& labels, Kind kind) {
  QW_ASSERT(has_unit(name));
  auto [it, added] = families_.try_emplace(std::string(name));
  Family& family = it->second;
  if (added) {
    family.name = name;
    family.help = help;
    family.kind = kind;
  }
  QW_ASSERT(family.kind == kind);
  for (Sample& sample : family.samples)
    if (sample.labels == labels) return sample;
  Sample sample;
  sample.labels = labels;
  if (kind == Kind::kCounter) sample.counter = &counters_.emplace_back();
  if (kind == Kind::kGauge) sample.gauge = &gauges_.emplace_back();
  if (kind == Kind::kLatency) sample.latency = &latencies_.emplace_back();
  return family.samples.emplace_back(std::move(sample));
}

Counter& MetricRegistry::counter(std::string_view name, std::string_view help,
                                 const Labels& labels) {
  std::lock_guard lock(mutex_);
  return const_cast<Counter&>(*find_or_add(name, help, labels, Kind::kCounter).counter);
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  return const_cast<Gauge&>(*find_or_add(name, help, labels, Kind::kGauge).gauge);
}

LatencyHistogram& MetricRegistry::latency(std::string_view name, std::string_view help,
                                          const Labels& labels) {
  std::lock_guard lock(mutex_);
  return const_cast<LatencyHistogram&>(*find_or_add(name, help, labels, Kind::kLatency).latency);
}

std::vector<MetricRegistry::Family> MetricRegistry::families() const {
  std::lock_guard lock(mutex_);
  std::vector<Family> copy;
  copy.reserve(families_.size());
  for (const auto& [name, family] : families_) copy.push_back(family);
  return copy;
}

}  // namespace qw
