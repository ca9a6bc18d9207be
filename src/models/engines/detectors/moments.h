// Running mean and variance with a floor on the forgetting rate: plain averages until 1/rate values
// were seen, exponentially weighted after (West 1979's update with weight k).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace qw::models::detectors {

// Part of a series' state: flat, zero bytes mean "nothing seen". Not thread safe.
struct Moments {
  double mean = 0;
  double variance = 0;
  uint32_t count = 0;  // stays at its largest value instead of wrapping
  uint32_t reserved = 0;

  // rate: 0 remembers everything equally, 0.1 forgets with a memory of about ten values.
  // prior: as if so many zeros had been added before the first value.
  void add(double value, double rate, double prior = 0) {
    if (count < std::numeric_limits<uint32_t>::max()) ++count;
    const double k = std::max(rate, 1.0 / (count + prior));
    const double delta = value - mean;
    mean += k * delta;
    variance = (1 - k) * (variance + k * delta * delta);
  }
  double deviation() const { return std::sqrt(variance); }
};
static_assert(std::is_trivially_copyable_v<Moments> && sizeof(Moments) == 24);

}  // namespace qw::models::detectors
