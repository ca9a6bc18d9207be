// Aim: the kernel computes its recipe. Method: a naive re-implementation over plain lists.
#include "models/engines/detectors/relative_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

// The recipe of relative_entropy.h with shares and logarithms where it has tables and counts.
class NaiveEntropy {
 public:
  explicit NaiveEntropy(const RelativeEntropySettings& settings) : s_(settings) {}

  std::optional<double> update(const Row& row) {
    values_.push_back(static_cast<float>(row.value));
    const auto window = static_cast<size_t>(s_.window);
    if (values_.size() < window) return std::nullopt;
    std::vector<double> p(static_cast<size_t>(s_.bins));
    const double range = std::max(row.max - row.min, row.scale);
    for (size_t i = values_.size() - window; i < values_.size(); ++i) {
      const double bin =
          std::floor((static_cast<double>(values_[i]) - row.min) * (s_.bins / range));
      p[static_cast<size_t>(std::clamp(bin, 0.0, s_.bins - 1.0))] += 1.0 / s_.window;
    }
    double smallest = known_.empty() ? 0 : 1e300;
    size_t nearest = 0;
    for (size_t k = 0; k < known_.size(); ++k) {
      double sum = 0;
      for (size_t b = 0; b < p.size(); ++b) {
        if (p[b] > 0) sum += p[b] * std::log(p[b] / std::max(known_[k].share[b], 1e-9));
      }
      if (sum < smallest - 1e-9) {
        smallest = sum;
        nearest = k;
      }
    }
    const double raw = 2 * s_.window * std::max(0.0, smallest);
    if (!known_.empty() && raw < s_.novel) {
      ++known_[nearest].met;
    } else if (known_.size() < static_cast<size_t>(s_.histograms)) {
      known_.push_back({p, 1});
    } else {
      *std::min_element(known_.begin(), known_.end(),
                        [](const Known& a, const Known& b) { return a.met < b.met; }) = {p, 1};
    }
    return raw;
  }

 private:
  struct Known {
    std::vector<double> share;
    int met;
  };
  RelativeEntropySettings s_;
  std::vector<float> values_;
  std::vector<Known> known_;
};

class EntropyAgainstNaive : public ::testing::TestWithParam<RelativeEntropySettings> {};

TEST_P(EntropyAgainstNaive, GivesTheSameRawValues) {
  const RelativeEntropy kernel(GetParam());
  NaiveEntropy naive(GetParam());
  RelativeEntropyState state;
  std::vector<Histogram> histograms(kernel.histograms());
  testing::RowFeeder feeder(kernel.recent_rows());
  double highest = 0;
  for (const Observation& observation : testing::synthetic_series(3000)) {
    const Row row = feeder.next(observation);
    const auto raw = kernel.update(row, state, histograms);
    const auto expected = naive.update(row);
    ASSERT_EQ(raw.has_value(), expected.has_value());
    if (raw) {
      ASSERT_NEAR(*raw, *expected, 1e-6 * (1 + *expected)) << "row " << row.rows;
    }
    highest = std::max(highest, raw.value_or(0));
  }
  EXPECT_GT(highest, GetParam().novel);
}

INSTANTIATE_TEST_SUITE_P(Settings, EntropyAgainstNaive,
                         ::testing::Values(RelativeEntropySettings{},
                                           RelativeEntropySettings{16, 100, 4, 10},
                                           RelativeEntropySettings{2, 8, 128, 2}));

}  // namespace
}  // namespace qw::models::detectors
