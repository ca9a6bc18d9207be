// What the oracle of an aggregate computes with: apart from the executors' own arithmetic on
// purpose.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "features/parity/oracle_expression.h"

namespace qw::features {

// One event and the argument's value. A value.
struct Seen {
  int64_t time = 0;
  uint32_t partition = 0;
  uint64_t seq = 0;
  OracleValue x;
};

inline constexpr long double kOracleEps = std::numeric_limits<double>::epsilon();

// Numbers in order, as long doubles, which carry 11 more bits than the executors' doubles.
struct OracleNumbers {
  std::vector<long double> x;
  long double sum = 0, size = 0, squares = 0, m2 = 0, most = 0;

  explicit OracleNumbers(const std::vector<Seen>& seen) {
    for (const Seen& s : seen) x.push_back(as_double(s.x));
    std::ranges::sort(x, {}, [](long double v) { return std::fabs(v); });  // small ones first
    for (const long double v : x) {
      sum += v;
      size += std::fabs(v);
      squares += v * v;
      most = std::max(most, std::fabs(v));
    }
    const long double mean = x.empty() ? 0 : sum / static_cast<long double>(x.size());
    for (const long double v : x) m2 += (v - mean) * (v - mean);
    std::ranges::sort(x);
  }

 private:
  static double as_double(const OracleValue& v) {
    return v.kind == OracleValue::Kind::kDouble
               ? v.d
               : static_cast<double>(static_cast<long double>(v.i) / std::pow(10.0L, v.scale));
  }
};

inline OracleValue oracle_finite(long double value) {
  const auto rounded = static_cast<double>(value);
  if (!std::isfinite(rounded)) return {};
  return {OracleValue::Kind::kDouble, 0, 0, rounded == 0 ? 0.0 : rounded};
}

// The values, the least first.
std::vector<OracleValue> oracle_sorted(const std::vector<Seen>& seen);
bool oracle_same(const OracleValue& a, const OracleValue& b);

}  // namespace qw::features
