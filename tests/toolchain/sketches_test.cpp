// Aim: the fetched DataSketches headers compile in C++20 and answer within their stated error.
// Method: the median of 0..99999 and the number of distinct values, whose exact answers are known.
#include <gtest/gtest.h>

#include <cstdint>

#include "hll.hpp"
#include "kll_sketch.hpp"

namespace {

TEST(Toolchain, SketchesAnswerWithinTheirError) {
  datasketches::kll_sketch<float> quantiles(200);
  datasketches::hll_sketch distinct(12);
  for (int i = 0; i < 100000; ++i) {
    quantiles.update(static_cast<float>(i));
    distinct.update(static_cast<uint64_t>(i));
  }
  // KLL of k = 200: 1.33% of the rank; HLL of lg_k = 12: 1.6% standard error, so 5% is three of
  // them.
  EXPECT_NEAR(quantiles.get_quantile(0.5), 50000.0, 2 * 1330.0);
  EXPECT_NEAR(distinct.get_estimate(), 100000.0, 5000.0);
}

}  // namespace
