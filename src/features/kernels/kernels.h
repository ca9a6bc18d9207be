// The arithmetic of aggregates over values in (event_time, seq) order, nulls already left out.
// Every executor of ours runs these; docs/reference/semantics.md says what they promise. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qw::features {

// What follows is finite wherever its true value is a double, also where a sum or a square on the
// way is none: what would leave the range is computed again on values scaled by a power of two,
// which rounds nothing. Infinite only where the true value is beyond a double.

// Sum with the lost low parts carried along (A. Neumaier, 1974): the error stays within 2 units in
// the last place of the result plus n^2 eps^2 sum|x|, whatever the order.
double sum_compensated(std::span<const double> values);
// That sum / how many; at least one value.
double mean_of(std::span<const double> values);

// Of a sample (n - 1), by mean and sum of squared distances from it, one value at a time
// (B. P. Welford, 1962). At least two values.
struct Spread {
  double variance = 0;
  double stddev = 0;  // may be a double where the variance is none
};
Spread spread_of(std::span<const double> values);

// Continuous quantile: with h = (n - 1) q, between the values ranked floor(h) and ceil(h) in
// proportion to h - floor(h).
struct Rank {
  Rank(size_t count, double q);
  size_t low = 0;
  double part = 0;  // of the way from that value to the next
  double between(double value, double next) const;
};
// `values` is reordered; at least one value.
double quantile_of(std::vector<double>& values, double q);

// How many different values; `values` is reordered.
int64_t distinct_of(std::vector<int64_t>& values);

}  // namespace qw::features
