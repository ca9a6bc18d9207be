#include "features/kernels/kernels.h"

#include <algorithm>
#include <cmath>

namespace qw::features {

__int128 sum_exact(std::span<const int64_t> values) {
  __int128 sum = 0;
  for (const int64_t value : values) sum += value;
  return sum;
}

double sum_compensated(std::span<const double> values) {
  double sum = 0;
  double lost = 0;
  for (const double value : values) {
    const double next = sum + value;
    lost += std::fabs(sum) >= std::fabs(value) ? (sum - next) + value : (value - next) + sum;
    sum = next;
  }
  return std::isfinite(sum) ? sum + lost : sum;
}

Moments moments_of(std::span<const double> values) {
  Moments moments;
  for (const double value : values) moments.add(value);
  return moments;
}

double quantile_of(std::vector<double>& values, double q) {
  const double h = static_cast<double>(values.size() - 1) * q;
  const auto low = static_cast<size_t>(std::floor(h));
  const auto begin = values.begin();
  std::nth_element(begin, begin + static_cast<std::ptrdiff_t>(low), values.end());
  const double a = values[low];
  const double part = h - static_cast<double>(low);
  if (part == 0 || low + 1 == values.size()) return a;
  const double b = *std::min_element(begin + static_cast<std::ptrdiff_t>(low) + 1, values.end());
  return a + (b - a) * part;
}

int64_t distinct_of(std::vector<int64_t>& values) {
  std::ranges::sort(values);
  return std::ranges::unique(values).begin() - values.begin();
}

}  // namespace qw::features
