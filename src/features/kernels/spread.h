// What variance and stddev are made of.
#pragma once

#include <cmath>
#include <limits>

#include "features/kernels/kernel.h"
#include "features/kernels/kernels.h"
#include "features/kernels/sums.h"

namespace qw::features {

// Sums of values and of their squares, each with twice a double's digits, so that their difference
// keeps enough of them; and the extremes, which tell equal values and those whose squares leave the
// range of a double.
struct SpreadSums {
  DoubleSum values;
  DoubleSum squares;
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(std::span<const int64_t> words, const Reading& reading) {
    for (const int64_t word : words) {
      const double value = reading.number(word);
      values.add(value);
      const double square = value * value;
      squares.add(square);
      squares.lost += std::fma(value, value, -square);
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  void merge(const SpreadSums& other, const Reading& reading) {
    values.merge(other.values, reading);
    squares.merge(other.squares, reading);
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }

  // Squares of values beyond these, or their low parts, are no doubles.
  static constexpr double kSpreadMost = 1e150;
  static constexpr double kSpreadLeast = 1e-120;
  bool in_range() const {
    const double most = std::max(std::fabs(low), std::fabs(high));
    return low == high || (most < kSpreadMost && most > kSpreadLeast);
  }
  // Of a sample; at least two values, which are in_range().
  double variance(double count) const {
    if (low == high) return 0;
    // (squares - values^2 / count) / (count - 1). values^2 / count as two doubles:
    const double sum = values.total();
    const double rest = (values.sum - sum) + values.lost;
    const double squared = sum * sum;
    const double squared_rest = std::fma(sum, sum, -squared) + 2 * sum * rest;
    const double part = squared / count;
    const double part_rest = (std::fma(-part, count, squared) + squared_rest) / count;
    DoubleSum m2 = squares;
    m2.add(-part);
    m2.lost -= part_rest;
    return std::max(m2.total(), 0.0) / (count - 1);
  }
};

// What variance and stddev are, but for their last step. Constant, any thread.
class SpreadKernel : public AggregateKernel {
 public:
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kDouble;
    aggregate.parity = ParityClass::kFloat;
  }
  const SummaryKind* summary(const schema::Type&) const override {
    return &SummaryOf<SpreadSums>::kind();
  }

 protected:
  // Calls put(feature, Spread) where there are two values.
  template <class Put>
  static void each_spread(const Question& question, const Put& put) {
    std::vector<double> values;
    for (const Asked& asked : question.asked) {
      const uint32_t count = question.count(asked.window);
      if (count < 2) continue;
      const auto& sums = question.summary<SpreadSums>(asked.window);
      if (sums.in_range()) {
        const double variance = sums.variance(count);
        put(asked.feature, Spread{variance, std::sqrt(variance)});
        continue;
      }
      values.clear();
      for (const int64_t word : question.rows->words(asked.window))
        values.push_back(question.reading.number(word));
      put(asked.feature, spread_of(values));
    }
  }
  // How far the variance may be off: k = 4.
  struct Oracle {
    long double variance = 0;
    long double error = 0;
  };
  static Oracle oracle_spread(const OracleQuestion& question) {
    const OracleNumbers n(question.seen);
    const auto count = static_cast<long double>(n.x.size());
    const long double k = 4 * count * kOracleEps;
    return {n.m2 / (count - 1),
            (k * std::sqrt(n.squares * n.m2) + k * k * n.squares) / (count - 1)};
  }
};

}  // namespace qw::features
