#include "models/engines/detectors/relative_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qw::models::detectors {
namespace {

constexpr double kEmptyShare = 1e-9;  // an empty bin counts as this, so that divergence is finite

}  // namespace

RelativeEntropy::RelativeEntropy(const RelativeEntropySettings& settings)
    : bins_(static_cast<size_t>(settings.bins)),
      window_(static_cast<size_t>(settings.window)),
      histograms_(static_cast<size_t>(settings.histograms)),
      novel_(settings.novel) {
  for (size_t count = 0; count <= window_; ++count) {
    const double share = static_cast<double>(count) / static_cast<double>(window_);
    log_share_.push_back(std::log(std::max(share, kEmptyShare)));
  }
}

Histogram RelativeEntropy::histogram_of(const Row& row) const {
  Histogram histogram;
  // A constant series has no range: the noise floor keeps rounding errors in one bin.
  const double range = std::max(row.max - row.min, row.scale);
  const double per_value = static_cast<double>(bins_) / range;
  for (const float value : row.recent.last(window_)) {
    const double position = (static_cast<double>(value) - row.min) * per_value;
    const auto bin = static_cast<size_t>(std::clamp(position, 0.0, static_cast<double>(bins_ - 1)));
    ++histogram.bins[bin];
  }
  return histogram;
}

double RelativeEntropy::divergence(const Histogram& p, const Histogram& h) const {
  double sum = 0;
  for (size_t bin = 0; bin < bins_; ++bin) {
    if (p.bins[bin] == 0) continue;
    sum += p.bins[bin] * (log_share_[p.bins[bin]] - log_share_[h.bins[bin]]);
  }
  return std::max(0.0, sum / static_cast<double>(window_));
}

std::optional<double> RelativeEntropy::update(const Row& row, RelativeEntropyState& state,
                                              std::span<Histogram> histograms) const {
  if (row.rows < window_) return std::nullopt;
  Histogram now = histogram_of(row);
  size_t nearest = 0;
  double smallest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < state.used; ++i) {
    const double divergence_to = divergence(now, histograms[i]);
    if (divergence_to < smallest) {
      smallest = divergence_to;
      nearest = i;
    }
  }
  if (state.used == 0) smallest = 0;
  const double raw = 2 * static_cast<double>(window_) * smallest;
  if (state.used > 0 && raw < novel_) {
    uint32_t& met = histograms[nearest].met;
    met += met < std::numeric_limits<uint32_t>::max() ? 1 : 0;
    return raw;
  }
  now.met = 1;
  size_t slot = state.used;
  if (state.used < histograms_) {
    ++state.used;
  } else {
    const auto rarest =
        std::min_element(histograms.begin(), histograms.end(),
                         [](const Histogram& a, const Histogram& b) { return a.met < b.met; });
    slot = static_cast<size_t>(rarest - histograms.begin());
  }
  histograms[slot] = now;
  return raw;
}

}  // namespace qw::models::detectors
