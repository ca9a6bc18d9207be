#include "models/engines/detectors/half_space_trees.h"

#include <algorithm>
#include <array>

#include "base/env.h"

namespace qw::models::detectors {
namespace {

constexpr double kPadding = 0.15;    // no split nearer to an edge of its box
constexpr double kSmallShare = 0.1;  // of the window: a node with less mass ends the way down

struct Box {
  std::array<double, kFeaturesMax> low{};
  std::array<double, kFeaturesMax> high{};
};

// Wide sides are split more often.
size_t pick_feature(const Box& box, size_t features, Random& random) {
  double total = 0;
  for (size_t f = 0; f < features; ++f) total += box.high[f] - box.low[f];
  double at = random.uniform() * total;
  for (size_t f = 0; f + 1 < features; ++f) {
    at -= box.high[f] - box.low[f];
    if (at < 0) return f;
  }
  return features - 1;
}

void split(std::span<HalfSpaceTrees::Split> tree, size_t node, Box box, size_t features,
           Random& random) {
  if (node >= tree.size()) return;
  const size_t feature = pick_feature(box, features, random);
  const double pad = kPadding * (box.high[feature] - box.low[feature]);
  const double low = box.low[feature] + pad;
  const double at = low + random.uniform() * (box.high[feature] - pad - low);
  tree[node] = {static_cast<float>(at), static_cast<uint32_t>(feature)};
  Box below = box;
  below.high[feature] = at;
  split(tree, 2 * node + 1, below, features, random);
  box.low[feature] = at;
  split(tree, 2 * node + 2, box, features, random);
}

}  // namespace

HalfSpaceTrees::HalfSpaceTrees(const HalfSpaceTreesSettings& settings)
    : trees_(static_cast<size_t>(settings.trees)),
      height_(static_cast<size_t>(settings.height)),
      window_(static_cast<size_t>(settings.window)),
      features_(static_cast<size_t>(settings.shingle)),
      leaves_(size_t{1} << height_),
      nodes_(2 * leaves_ - 1),
      reach_(settings.reach) {
  Random random(static_cast<uint64_t>(settings.seed));
  splits_.resize(trees_ * (leaves_ - 1));
  Box box;
  box.high.fill(1);
  for (size_t tree = 0; tree < trees_; ++tree) {
    split(std::span(splits_).subspan(tree * (leaves_ - 1), leaves_ - 1), 0, box, features_, random);
  }
}

std::optional<double> HalfSpaceTrees::score_and_learn(std::span<const float> point,
                                                      HalfSpaceTreesState& state,
                                                      std::span<uint16_t> masses) const {
  std::array<uint32_t, kTreesMax> at{};
  for (size_t level = 0; level < height_; ++level) {
    // Level by level over all trees: the loads of different trees do not wait for each other.
    for (size_t tree = 0; tree < trees_; ++tree) {
      const Split& node = splits_[tree * (leaves_ - 1) + at[tree]];
      at[tree] = 2 * at[tree] + (point[node.feature] < node.threshold ? 1 : 2);
    }
  }
  std::optional<double> score;
  if (state.windows > 0) {
    const double small = kSmallShare * static_cast<double>(window_);
    uint64_t sum = 0;
    for (size_t tree = 0; tree < trees_; ++tree) {
      const uint16_t* mass = masses.data() + tree * nodes_;
      for (size_t depth = 0; depth <= height_; ++depth) {
        const size_t node = ((at[tree] + 1) >> (height_ - depth)) - 1;
        sum += uint64_t{mass[node]} << depth;
        if (mass[node] < small) break;
      }
    }
    score = 1 - static_cast<double>(sum) / static_cast<double>(trees_ * window_ * nodes_);
  }
  std::span<uint16_t> current = masses.subspan(trees_ * nodes_);
  for (size_t tree = 0; tree < trees_; ++tree) {
    ++current[tree * leaves_ + at[tree] - (leaves_ - 1)];
  }
  if (++state.in_window == window_) {
    start_next_window(masses);
    state.in_window = 0;
    state.windows = std::min(state.windows + 1, 2U);
  }
  return score;
}

void HalfSpaceTrees::start_next_window(std::span<uint16_t> masses) const {
  std::span<uint16_t> current = masses.subspan(trees_ * nodes_);
  for (size_t tree = 0; tree < trees_; ++tree) {
    uint16_t* previous = masses.data() + tree * nodes_;
    for (size_t leaf = 0; leaf < leaves_; ++leaf) {
      previous[leaves_ - 1 + leaf] = current[tree * leaves_ + leaf];
    }
    for (size_t node = leaves_ - 1; node-- > 0;) {
      previous[node] = static_cast<uint16_t>(previous[2 * node + 1] + previous[2 * node + 2]);
    }
  }
  std::fill(current.begin(), current.end(), uint16_t{0});
}

std::optional<double> HalfSpaceTrees::update(const Row& row, HalfSpaceTreesState& state,
                                             std::span<uint16_t> masses) const {
  if (row.rows < features_) return std::nullopt;
  std::array<float, kFeaturesMax> point{};
  const std::span<const float> values = row.recent.last(features_);
  const double per_value = 0.5 / (reach_ * row.scale);
  for (size_t f = 0; f < features_; ++f) {
    const double position = 0.5 + (static_cast<double>(values[f]) - row.mean) * per_value;
    point[f] = static_cast<float>(std::clamp(position, 0.0, 1.0));
  }
  return score_and_learn(std::span(point).first(features_), state, masses);
}

}  // namespace qw::models::detectors
