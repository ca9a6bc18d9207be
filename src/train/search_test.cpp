// Aim: the search finds good points in few tries, far better than guessing, and repeats itself.
// Method: functions whose best point is known, against uniform draws with as many tries.
#include "train/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace qw::train {
namespace {

using Function = std::function<double(const std::vector<double>&)>;

std::vector<Dimension> cube(size_t dimensions, double start) {
  return std::vector<Dimension>(dimensions, Dimension{-5, 5, false, false, start});
}

double best_found(const Function& score, const std::vector<Dimension>& space, uint64_t seed,
                  int tries) {
  Search search(space, seed);
  double best = -std::numeric_limits<double>::infinity();
  for (int at = 0; at < tries; ++at) {
    const double got = score(search.ask());
    search.tell(got);
    best = std::max(best, got);
  }
  return best;
}

double best_guessed(const Function& score, const std::vector<Dimension>& space, uint64_t seed,
                    int tries) {
  Random random(seed);
  double best = -std::numeric_limits<double>::infinity();
  for (int at = 0; at < tries; ++at) {
    std::vector<double> point;
    for (const Dimension& d : space) point.push_back(d.low + (d.high - d.low) * random.uniform());
    best = std::max(best, score(point));
  }
  return best;
}

double median_over_seeds(const std::function<double(uint64_t)>& run) {
  std::vector<double> all;
  for (uint64_t seed = 1; seed <= 15; ++seed) all.push_back(run(seed));
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

// Best value 0 at (1, 1, ...).
double bowl(const std::vector<double>& point) {
  double sum = 0;
  for (const double x : point) sum -= (x - 1) * (x - 1);
  return sum;
}

// Best value 0 at (1, 1, ...), in a curved valley: the dimensions depend on each other.
double valley(const std::vector<double>& point) {
  double sum = 0;
  for (size_t at = 0; at + 1 < point.size(); ++at)
    sum -= 5 * std::pow(point[at + 1] - point[at] * point[at], 2) + std::pow(1 - point[at], 2);
  return sum;
}

TEST(Search, FindsTheBowlOfTenDimensions) {
  const auto space = cube(10, -2);
  const double found =
      median_over_seeds([&](uint64_t seed) { return best_found(bowl, space, seed, 120); });
  const double guessed =
      median_over_seeds([&](uint64_t seed) { return best_guessed(bowl, space, seed, 120); });
  EXPECT_GT(found, guessed / 8) << "found " << found << ", guessed " << guessed;
  EXPECT_GT(found, -4);
}

TEST(Search, FollowsTheValley) {
  const auto space = cube(4, -2);
  const double found =
      median_over_seeds([&](uint64_t seed) { return best_found(valley, space, seed, 150); });
  const double guessed =
      median_over_seeds([&](uint64_t seed) { return best_guessed(valley, space, seed, 150); });
  EXPECT_GT(found, guessed / 2) << "found " << found << ", guessed " << guessed;
}

TEST(Search, BeginsAtTheStartAndRepeatsItself) {
  const std::vector<Dimension> space = {
      {0.001, 10, true, false, 0.5}, {1, 64, true, true, 12}, {0, 3, false, false, 1}};
  Search one(space, 7);
  Search two(space, 7);
  Search other(space, 8);
  EXPECT_EQ(one.ask(), (std::vector<double>{0.5, 12, 1}));
  EXPECT_EQ(two.ask(), other.ask());
  one.tell(1);
  two.tell(1);
  other.tell(1);
  bool differs = false;
  for (int at = 0; at < 40; ++at) {
    const auto point = one.ask();
    ASSERT_EQ(point, two.ask());
    differs = differs || point != other.ask();
    for (size_t d = 0; d < space.size(); ++d) {
      ASSERT_GE(point[d], space[d].low);
      ASSERT_LE(point[d], space[d].high);
    }
    ASSERT_EQ(point[1], std::round(point[1]));
    const double score = bowl(point);
    one.tell(score);
    two.tell(score);
    other.tell(score);
  }
  EXPECT_TRUE(differs);
}

TEST(Search, LeavesImpossiblePointsBehind) {
  const auto space = cube(2, 0);
  const double found = best_found(
      [](const std::vector<double>& point) {
        return point[0] > 2 ? -std::numeric_limits<double>::infinity() : bowl(point);
      },
      space, 3, 80);
  EXPECT_GT(found, -0.5);
}

}  // namespace
}  // namespace qw::train
