// The arithmetic of aggregates over values in (event_time, seq) order, nulls already left out.
// Every executor of ours runs these; docs/reference/semantics.md says what they promise. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qw::features {

// Sum in 128 bits: cannot overflow below 2^64 values.
__int128 sum_exact(std::span<const int64_t> values);

// Sum with the lost low parts carried along (A. Neumaier, 1974): the error stays within 2 units in
// the last place of the result plus n^2 eps^2 sum|x|, whatever the order.
double sum_compensated(std::span<const double> values);

// Mean and sum of squared distances from it, one value at a time (B. P. Welford, 1962).
struct Moments {
  uint64_t count = 0;
  double mean = 0;
  double m2 = 0;

  void add(double value) {
    ++count;
    const double before = value - mean;
    mean += before / static_cast<double>(count);
    m2 += before * (value - mean);
  }
  // Sample variance, with count - 1; only for count >= 2.
  double variance() const { return m2 / static_cast<double>(count - 1); }
};
// Beyond this size a square is no double any more; every executor answers null instead.
constexpr double kMomentsMost = 1e150;
Moments moments_of(std::span<const double> values);

// Continuous quantile: with h = (n - 1) q, between the values ranked floor(h) and ceil(h) in
// proportion to h - floor(h). `values` is reordered; at least one value.
double quantile_of(std::vector<double>& values, double q);

// How many different values; `values` is reordered.
int64_t distinct_of(std::vector<int64_t>& values);

}  // namespace qw::features
