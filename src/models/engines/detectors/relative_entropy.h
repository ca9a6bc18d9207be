// How unlike anything seen before the distribution of the last rows is.
//
// Recipe: the last `window` values in `bins` equal bins over the running range; raw = 2 * window *
// the smallest Kullback-Leibler divergence to a remembered histogram. At `novel` and above the
// histogram is remembered itself (evicting the one met least often), else the nearest is counted.
// Source: Wang, Viswanathan, Choudur, Talwar, Satterfield, Schwan: "Statistical techniques for
// online anomaly detection in data centers", IM 2011.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "models/engines/detectors/series.h"

namespace qw::models::detectors {

// What the entropy detector is made from. A plain value; settings_fields.cpp has the ranges.
struct RelativeEntropySettings {
  int bins = 10;
  int window = 24;      // rows in a histogram
  int histograms = 64;  // remembered
  double novel = 25;    // 2 * window * divergence from which a histogram is a new one
};

inline constexpr size_t kBinsMax = 16;
inline constexpr size_t kHistogramsMax = 128;

// One remembered distribution of a window. Part of a series' state; zero bytes are an empty slot.
struct Histogram {
  uint8_t bins[kBinsMax] = {};
  uint32_t met = 0;  // how often the series looked like this; 0 = empty slot
};

// Part of a series' state; the histograms lie behind it. Zero bytes mean "nothing seen".
struct RelativeEntropyState {
  uint32_t used = 0;
  uint32_t reserved = 0;
};
static_assert(std::is_trivially_copyable_v<Histogram> &&
              std::is_trivially_copyable_v<RelativeEntropyState>);

// The kernel. Immutable. Threads: concurrent calls on different states.
class RelativeEntropy {
 public:
  explicit RelativeEntropy(const RelativeEntropySettings& settings);

  size_t recent_rows() const { return window_; }
  size_t histograms() const { return histograms_; }
  // Raw value of the row, or nothing until `window` rows were seen. Then learns the row.
  std::optional<double> update(const Row& row, RelativeEntropyState& state,
                               std::span<Histogram> histograms) const;
  uint64_t rows_until_ready() const { return window_; }

 private:
  Histogram histogram_of(const Row& row) const;
  double divergence(const Histogram& p, const Histogram& h) const;

  size_t bins_, window_, histograms_;
  double novel_;
  std::vector<double> log_share_;  // log(max(count / window, epsilon)) for count in 0..window
};

}  // namespace qw::models::detectors
