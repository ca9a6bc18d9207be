// How few of the earlier values fell into the same small region.
//
// Recipe: random binary splits of the feature box [0,1]^d, fixed by a seed; each node's mass is the
// number of points of the previous window of `window` points that fell into it; a point's score is
// 1 - sum over trees and over the nodes on its way down, until a node's mass is below a tenth of
// the window, of mass * 2^depth, divided by the largest possible sum.
// Source: Tan, Ting, Liu: "Fast anomaly detection for streaming data", IJCAI 2011; the sum over the
// way down, the split padding of 0.15 and the normalisation as in river's HalfSpaceTrees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "models/engines/detectors/series.h"

namespace qw::models::detectors {

// What a forest is made from. A plain value; settings_fields.cpp has the ranges.
struct HalfSpaceTreesSettings {
  int trees = 10;
  int height = 8;
  int window = 250;
  int shingle = 8;    // features: this many last values, in deviations
  double reach = 25;  // deviations from the mean that map to the edges of the box
  int seed = 42;
};

inline constexpr size_t kFeaturesMax = 8;
inline constexpr size_t kTreesMax = 64;

// Part of a series' state; masses lie behind it. Zero bytes mean "nothing seen".
struct HalfSpaceTreesState {
  uint32_t in_window = 0;  // points learned in the current window
  uint32_t windows = 0;    // windows completed; at 0 nothing can be scored
};
static_assert(std::is_trivially_copyable_v<HalfSpaceTreesState>);

// The kernel. Owns the splits, which all series share. Immutable. Threads: concurrent calls on
// different states.
class HalfSpaceTrees {
 public:
  struct Split {
    float threshold = 0;
    uint32_t feature = 0;
  };

  explicit HalfSpaceTrees(const HalfSpaceTreesSettings& settings);

  size_t recent_rows() const { return features_; }
  // Masses of every node in the previous window, then of every leaf in the current one: inner
  // nodes' masses are sums of leaves, so a point changes one number per tree.
  size_t state_counts() const { return trees_ * (nodes_ + leaves_); }

  // Score in [0, 1] of a point of `shingle` features in [0, 1], high = unusual, or nothing in the
  // first window; then learns the point.
  std::optional<double> score_and_learn(std::span<const float> point, HalfSpaceTreesState& state,
                                        std::span<uint16_t> masses) const;
  // The same for a row: its last values in deviations from the mean, mapped to the box.
  std::optional<double> update(const Row& row, HalfSpaceTreesState& state,
                               std::span<uint16_t> masses) const;
  uint64_t rows_until_ready() const { return features_ + window_; }

  // The splits of one tree, breadth first: children of node i are 2i+1 (below) and 2i+2.
  std::span<const Split> splits(size_t tree) const {
    return std::span(splits_).subspan(tree * (leaves_ - 1), leaves_ - 1);
  }

 private:
  void start_next_window(std::span<uint16_t> masses) const;

  size_t trees_, height_, window_, features_, leaves_, nodes_;
  double reach_;
  std::vector<Split> splits_;
};

}  // namespace qw::models::detectors
