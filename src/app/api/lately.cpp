#include "app/api/lately.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qw::app {
namespace {

// The upper edge of a histogram's bucket (base/metrics.h: eight per doubling from 1 us).
double edge_us(int bucket) { return std::exp2(bucket / 8.0); }

// The stage that a family and its sample count for; empty: none.
std::string stage_of(const MetricRegistry::Family& family, const MetricRegistry::Sample& sample) {
  if (family.name == "quickwater_delivered_seconds") return "delivered";
  if (family.name != "quickwater_stage_latency_seconds") return {};
  for (const auto& [name, value] : sample.labels)
    if (name == "stage") return value;
  return {};
}

double quantile_us(const std::array<uint64_t, LatencyHistogram::kBuckets>& between,
                   double quantile) {
  const uint64_t total = between.back();
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto wanted = std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total))));
  const auto found = std::lower_bound(between.begin(), between.end(), wanted);
  return edge_us(static_cast<int>(found - between.begin()));
}

}  // namespace

StagesLately::Shot StagesLately::shoot(int64_t now_ns) const {
  Shot shot;
  shot.at_ns = now_ns;
  for (const char* const always : {"computed", "durable", "delivered"}) shot.stages[always] = {};
  for (const MetricRegistry::Family& family : metrics_.families())
    for (const MetricRegistry::Sample& sample : family.samples) {
      const std::string stage = sample.latency == nullptr ? "" : stage_of(family, sample);
      if (stage.empty()) continue;
      Counts& counts = shot.stages[stage];
      uint64_t least = 0;  // values come in while this counts
      for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) {
        least = std::max(least, sample.latency->count_at_or_below_us(edge_us(bucket)));
        counts[static_cast<size_t>(bucket)] += least;
      }
    }
  return shot;
}

void StagesLately::sample(int64_t now_ns) {
  if (!shots_.empty() && now_ns - shots_.back().at_ns < kEveryNs) return;
  shots_.push_back(shoot(now_ns));
  while (shots_.size() > 1 && now_ns - shots_[1].at_ns >= kSpanNs) shots_.pop_front();
}

std::vector<StageLately> StagesLately::read() const {
  std::vector<StageLately> lately;
  for (auto& [name, counts] : shoot(0).stages) {
    Counts between = counts;
    if (!shots_.empty())
      if (const auto before = shots_.front().stages.find(name);
          before != shots_.front().stages.end())
        for (size_t bucket = 0; bucket < between.size(); ++bucket)
          between[bucket] -= std::min(between[bucket], before->second[bucket]);
    lately.push_back({name, between.back(), quantile_us(between, 0.5), quantile_us(between, 0.99),
                      quantile_us(between, 0.999)});
  }
  return lately;
}

void RateLately::sample(int64_t now_ns, double value) {
  samples_.push_back({now_ns, value});
  while (samples_.size() > 2 && now_ns - samples_.front().at_ns > kSpanNs) samples_.pop_front();
}

std::optional<double> RateLately::per_s() const {
  if (samples_.size() < 2) return std::nullopt;
  const double seconds = static_cast<double>(samples_.back().at_ns - samples_.front().at_ns) * 1e-9;
  if (seconds <= 0) return std::nullopt;
  return (samples_.back().value - samples_.front().value) / seconds;
}

}  // namespace qw::app
