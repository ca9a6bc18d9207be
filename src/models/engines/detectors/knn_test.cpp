// Aim: the kernel computes its recipe. Method: a naive re-implementation that keeps every value and
// every vector in plain lists and sorts all distances; the vector variants against each other.
#include "models/engines/detectors/knn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

// The recipe of knn.h, as slowly as it reads.
class NaiveKnn {
 public:
  explicit NaiveKnn(const KnnSettings& settings) : s_(settings) {}

  std::optional<double> update(const Row& row) {
    values_.push_back(static_cast<float>(row.value));
    const size_t length = static_cast<size_t>(s_.dims * s_.step);
    if (values_.size() < length) return std::nullopt;
    std::vector<float> query;
    for (size_t e = 0; e < static_cast<size_t>(s_.dims); ++e) {
      double sum = 0;
      for (size_t i = 0; i < static_cast<size_t>(s_.step); ++i) {
        sum += values_[values_.size() - length + e * static_cast<size_t>(s_.step) + i];
      }
      query.push_back(static_cast<float>(sum / s_.step));
    }
    const uint64_t delay =
        std::max<uint64_t>(1, std::min(static_cast<uint64_t>(s_.delay_rows), row.rows / 8));
    std::vector<double> distances;  // newest first
    for (size_t i = stored_.size(); i-- > 0;) {
      if (stored_[i].row + delay > row.rows) continue;
      if (distances.size() == static_cast<size_t>(s_.vectors)) break;
      double sum = 0;
      for (size_t e = 0; e < query.size(); ++e) {
        const double d = static_cast<double>(stored_[i].vector[e]) - static_cast<double>(query[e]);
        sum += d * d;
      }
      distances.push_back(std::sqrt(sum));
    }
    if ((row.rows - length) % static_cast<uint64_t>(s_.stride) == 0) {
      stored_.push_back({row.rows, query});
    }
    if (distances.size() < 11) return std::nullopt;
    std::sort(distances.begin(), distances.end());
    double sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(s_.neighbours); ++i) sum += distances[i];
    return sum / s_.neighbours / (row.scale * std::sqrt(s_.dims));
  }

 private:
  struct Stored {
    uint64_t row;
    std::vector<float> vector;
  };
  KnnSettings s_;
  std::vector<float> values_;
  std::vector<Stored> stored_;
};

class KnnAgainstNaive : public ::testing::TestWithParam<KnnSettings> {};

TEST_P(KnnAgainstNaive, GivesTheSameRawValues) {
  const KnnSettings settings = GetParam();
  const Knn kernel(settings);
  NaiveKnn naive(settings);
  std::vector<float> vectors(kernel.state_floats());
  testing::RowFeeder feeder(kernel.recent_rows());
  std::optional<uint64_t> first;
  for (const Observation& observation : testing::synthetic_series(2500)) {
    const Row row = feeder.next(observation);
    const auto raw = kernel.update(row, vectors);
    const auto expected = naive.update(row);
    ASSERT_EQ(raw.has_value(), expected.has_value()) << "row " << row.rows;
    if (!raw) continue;
    if (!first) first = row.rows;
    ASSERT_NEAR(*raw, *expected, 1e-5 * (1 + *expected)) << "row " << row.rows;
  }
  EXPECT_EQ(first, kernel.rows_until_ready());
}

INSTANTIATE_TEST_SUITE_P(Settings, KnnAgainstNaive,
                         ::testing::Values(KnnSettings{},                      // shipped, long
                                           KnnSettings{8, 3, 500, 2, 200, 5},  // shipped, short
                                           KnnSettings{2, 1, 50, 1, 1, 1},
                                           KnnSettings{5, 2, 61, 3, 100, 7},
                                           KnnSettings{32, 2, 120, 7, 30, 11},
                                           KnnSettings{3, 8, 333, 10, 1000, 4}));

TEST(KnnDistance, VariantsGiveTheSameBits) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "this processor has no AVX2";
  std::mt19937 random(3);
  std::normal_distribution<float> value(0, 100);
  for (const size_t dims : {1UL, 2UL, 7UL, 12UL, 32UL}) {
    std::vector<float> blocks(20 * dims * kLanes + 1), query(dims);
    for (float& x : blocks) x = value(random);
    for (float& x : query) x = value(random);
    std::vector<float> portable(20 * kLanes), avx2(20 * kLanes);
    // One float in: a state block promises eight bytes of alignment, not thirty-two.
    squared_distances_portable(blocks.data() + 1, dims, query.data(), 3, 20, portable.data());
    squared_distances_avx2(blocks.data() + 1, dims, query.data(), 3, 20, avx2.data());
    for (size_t i = 0; i < 17 * kLanes; ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(portable[i]), std::bit_cast<uint32_t>(avx2[i]));
      float expected = 0;
      for (size_t e = 0; e < dims; ++e) {
        const size_t block = 3 + i / kLanes;
        const float d = blocks[1 + (block * dims + e) * kLanes + i % kLanes] - query[e];
        expected += d * d;
      }
      ASSERT_FLOAT_EQ(portable[i], expected);
    }
  }
}

TEST(Knn, AnAnomalyIsNotItsOwnNeighbourForTheDelay) {
  const KnnSettings settings{4, 1, 500, 1, 100, 3};
  const Knn kernel(settings);
  std::vector<float> vectors(kernel.state_floats());
  testing::RowFeeder feeder(kernel.recent_rows());
  std::mt19937 random(5);
  std::normal_distribution<double> noise(0, 1);
  double at_start = 0, late = 0, after_delay = 0;
  for (int i = 0; i < 2000; ++i) {
    const double level = i >= 1500 ? 50 : 0;
    const Row row = feeder.next({i, level + noise(random)});
    const double raw = kernel.update(row, vectors).value_or(0);
    if (i == 1510) at_start = raw;
    if (i == 1595) late = raw;
    if (i == 1650) after_delay = raw;
  }
  EXPECT_GT(at_start, 1);
  EXPECT_GT(late, 1);
  EXPECT_LT(after_delay, 0.3);
}

}  // namespace
}  // namespace qw::models::detectors
