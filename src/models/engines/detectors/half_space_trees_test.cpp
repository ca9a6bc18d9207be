// Aim: masses, scores and splits are those of the definition. Method: a naive forest of linked
// nodes that counts every node on the way down (river's and the paper's form) over the same splits;
// the splits' own rules; a point far from the others.
#include "models/engines/detectors/half_space_trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "models/engines/detectors/series_testing.h"

namespace qw::models::detectors {
namespace {

struct NaiveNode {
  HalfSpaceTrees::Split split;
  std::unique_ptr<NaiveNode> below, above;
  int current = 0;   // l_mass
  int previous = 0;  // r_mass
};

std::unique_ptr<NaiveNode> grow(std::span<const HalfSpaceTrees::Split> splits, size_t node) {
  auto grown = std::make_unique<NaiveNode>();
  if (node >= splits.size()) return grown;
  grown->split = splits[node];
  grown->below = grow(splits, 2 * node + 1);
  grown->above = grow(splits, 2 * node + 2);
  return grown;
}

void pivot(NaiveNode& node) {
  node.previous = node.current;
  node.current = 0;
  if (node.below) pivot(*node.below);
  if (node.above) pivot(*node.above);
}

class NaiveForest {
 public:
  NaiveForest(const HalfSpaceTrees& kernel, const HalfSpaceTreesSettings& settings) : s_(settings) {
    for (size_t tree = 0; tree < static_cast<size_t>(s_.trees); ++tree) {
      trees_.push_back(grow(kernel.splits(tree), 0));
    }
  }
  std::optional<double> score(const std::vector<float>& point) const {
    if (!scored_) return std::nullopt;
    double sum = 0;
    for (const auto& tree : trees_) {
      int depth = 0;
      for (const NaiveNode* node = tree.get(); node != nullptr; ++depth) {
        sum += node->previous * std::pow(2, depth);
        if (node->previous < 0.1 * s_.window) break;
        node = step(*node, point);
      }
    }
    return 1 - sum / (s_.trees * s_.window * (std::pow(2, s_.height + 1) - 1));
  }
  void learn(const std::vector<float>& point) {
    for (const auto& tree : trees_) {
      for (NaiveNode* node = tree.get(); node != nullptr;
           node = const_cast<NaiveNode*>(step(*node, point))) {
        ++node->current;
      }
    }
    if (++learned_ % s_.window == 0) {
      for (const auto& tree : trees_) pivot(*tree);
      scored_ = true;
    }
  }

 private:
  static const NaiveNode* step(const NaiveNode& node, const std::vector<float>& point) {
    if (!node.below) return nullptr;
    return point[node.split.feature] < node.split.threshold ? node.below.get() : node.above.get();
  }
  HalfSpaceTreesSettings s_;
  std::vector<std::unique_ptr<NaiveNode>> trees_;
  int learned_ = 0;
  bool scored_ = false;
};

std::vector<float> random_point(size_t features, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> point;
  for (size_t f = 0; f < features; ++f) point.push_back(uniform(random) * uniform(random));
  return point;
}

class ForestAgainstNaive : public ::testing::TestWithParam<HalfSpaceTreesSettings> {};

TEST_P(ForestAgainstNaive, GivesTheSameScores) {
  const HalfSpaceTreesSettings settings = GetParam();
  const HalfSpaceTrees kernel(settings);
  NaiveForest naive(kernel, settings);
  HalfSpaceTreesState state;
  std::vector<uint16_t> masses(kernel.state_counts());
  std::mt19937 random(9);
  for (int i = 0; i < 4 * settings.window + 7; ++i) {
    const auto point = random_point(static_cast<size_t>(settings.shingle), random);
    const auto expected = naive.score(point);
    naive.learn(point);
    const auto score = kernel.score_and_learn(point, state, masses);
    ASSERT_EQ(score.has_value(), expected.has_value()) << i;
    if (score) {
      ASSERT_NEAR(*score, *expected, 1e-12) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Settings, ForestAgainstNaive,
                         ::testing::Values(HalfSpaceTreesSettings{},
                                           HalfSpaceTreesSettings{25, 10, 100, 2, 4, 7},
                                           HalfSpaceTreesSettings{1, 1, 10, 1, 4, 0},
                                           HalfSpaceTreesSettings{3, 3, 3000, 8, 4, 1}));

TEST(HalfSpaceTrees, SplitsLieInsideTheirBoxWithPadding) {
  const HalfSpaceTreesSettings settings{20, 6, 250, 3, 4, 5};
  const HalfSpaceTrees kernel(settings);
  std::vector<int> roots(3);
  for (size_t tree = 0; tree < 20; ++tree) {
    const auto splits = kernel.splits(tree);
    ASSERT_EQ(splits.size(), 63U);
    for (size_t node = 0; node < splits.size(); ++node) {
      double low = 0, high = 1;
      for (size_t at = node; at > 0; at = (at - 1) / 2) {
        const auto& parent = splits[(at - 1) / 2];
        if (parent.feature != splits[node].feature) continue;
        const double edge = static_cast<double>(parent.threshold);
        if (at % 2 == 1) {
          high = std::min(high, edge);
        } else {
          low = std::max(low, edge);
        }
      }
      const double at = static_cast<double>(splits[node].threshold);
      ASSERT_GE(at, low + 0.15 * (high - low) - 1e-6);
      ASSERT_LE(at, high - 0.15 * (high - low) + 1e-6);
    }
    ++roots[splits[0].feature];
  }
  for (const int count : roots) EXPECT_GT(count, 0);  // no feature is left out
}

TEST(HalfSpaceTrees, SeedAloneDecidesTheSplits) {
  const HalfSpaceTrees one({}), same({});
  HalfSpaceTreesSettings other_seed;
  other_seed.seed = 43;
  const HalfSpaceTrees other(other_seed);
  EXPECT_EQ(one.splits(3)[7].threshold, same.splits(3)[7].threshold);
  EXPECT_NE(one.splits(3)[7].threshold, other.splits(3)[7].threshold);
}

TEST(HalfSpaceTrees, AFarPointScoresHigherThanAllOthers) {
  HalfSpaceTreesSettings settings;
  settings.shingle = 2;
  const HalfSpaceTrees kernel(settings);
  HalfSpaceTreesState state;
  std::vector<uint16_t> masses(kernel.state_counts());
  std::mt19937 random(4);
  std::normal_distribution<float> near(0.4F, 0.03F);
  double highest = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::vector<float> point = {near(random), near(random)};
    const double score = kernel.score_and_learn(point, state, masses).value_or(0);
    if (i >= 1000) highest = std::max(highest, score);
  }
  const std::vector<float> far = {0.95F, 0.05F};
  EXPECT_GT(kernel.score_and_learn(far, state, masses).value_or(0), highest);
}

}  // namespace
}  // namespace qw::models::detectors
