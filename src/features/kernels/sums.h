// Sums that lose nothing that counts: shared by sum and mean.
#pragma once

#include "features/kernels/summary.h"

namespace qw::features {

// In 128 bits: cannot overflow below 2^64 values.
struct WholeSum {
  Int128 sum = 0;
  void add(std::span<const int64_t> words, const Reading&) {
    for (const int64_t word : words) sum += word;
  }
  void merge(const WholeSum& other, const Reading&) { sum += other.sum; }
};

// With the low parts that rounding takes away carried along (D. Knuth's exact error of a sum, added
// up as A. Neumaier does). Not finite where a sum on the way was none: compute it anew, scaled.
struct DoubleSum {
  double sum = 0;
  double lost = 0;
  void add(double value) {
    const double next = sum + value;
    const double taken = next - sum;
    lost += (sum - (next - taken)) + (value - taken);
    sum = next;
  }
  void add(std::span<const int64_t> words, const Reading&) {
    for (const int64_t word : words) add(std::bit_cast<double>(word));
  }
  void merge(const DoubleSum& other, const Reading&) {
    add(other.sum);
    lost += other.lost;
  }
  double total() const { return sum + lost; }
};

inline std::vector<double> doubles_of(std::span<const int64_t> words) {
  std::vector<double> values;
  values.reserve(words.size());
  for (const int64_t word : words) values.push_back(std::bit_cast<double>(word));
  return values;
}

inline const SummaryKind* sum_kind(const schema::Type& type) {
  if (type.kind == schema::Kind::kDouble) return &SummaryOf<DoubleSum>::kind();
  return &SummaryOf<WholeSum>::kind();
}

}  // namespace qw::features
