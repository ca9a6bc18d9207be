#include "features/kernels/kernels.h"

#include <algorithm>
#include <cmath>

#include "features/kernels/sums.h"

namespace qw::features {

namespace {

// Sums of up to 2^64 values, and squares of values beyond these sizes, stay doubles when scaled so.
constexpr double kSumScale = 0x1p-64;
constexpr double kSpreadMost = 1e150;
constexpr double kSpreadLeast = 1e-150;
constexpr double kSpreadScale = 0x1p600;

double sum_scaled(std::span<const double> values, double scale) {
  DoubleSum sum;
  for (const double value : values) sum.add(value * scale);
  return sum.total();
}

}  // namespace

double sum_compensated(std::span<const double> values) {
  const double sum = sum_scaled(values, 1);
  return std::isfinite(sum) ? sum : sum_scaled(values, kSumScale) / kSumScale;
}

double mean_of(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  const double sum = sum_scaled(values, 1);
  return std::isfinite(sum) ? sum / count : sum_scaled(values, kSumScale) / count / kSumScale;
}

Spread spread_of(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::fabs(value));
  const double scale = most > kSpreadMost    ? 1 / kSpreadScale
                       : most < kSpreadLeast ? kSpreadScale
                                             : 1;
  double count = 0;
  double mean = 0;
  double m2 = 0;
  for (const double unscaled : values) {
    const double value = unscaled * scale;
    const double before = value - mean;
    mean += before / ++count;
    m2 += before * (value - mean);
  }
  const double variance = m2 / (count - 1);
  return {variance / scale / scale, std::sqrt(variance) / scale};
}

Rank::Rank(size_t count, double q) {
  const double h = static_cast<double>(count - 1) * q;
  low = static_cast<size_t>(std::floor(h));
  part = h - static_cast<double>(low);
}

double Rank::between(double value, double next) const {
  if (part == 0) return value;
  const double way = next - value;
  return std::isfinite(way) ? value + way * part : (value / 2 + (next / 2 - value / 2) * part) * 2;
}

double quantile_of(std::vector<double>& values, double q) {
  const Rank rank(values.size(), q);
  const auto low = values.begin() + static_cast<std::ptrdiff_t>(rank.low);
  std::nth_element(values.begin(), low, values.end());
  if (rank.part == 0 || low + 1 == values.end()) return *low;
  return rank.between(*low, *std::min_element(low + 1, values.end()));
}

int64_t distinct_of(std::vector<int64_t>& values) {
  std::ranges::sort(values);
  return std::ranges::unique(values).begin() - values.begin();
}

}  // namespace qw::features
