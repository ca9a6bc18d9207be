// Distance of the series' recent shape to the nearest shapes it has shown before.
//
// Recipe: a vector of `dims` means over `step` rows each (the last dims*step rows); every
// `stride`-th row's vector is remembered, at most `vectors` of them, and becomes visible `delay`
// rows late, so that an anomaly that lasts is not at once its own neighbour. The raw value is the
// mean of the `neighbours` smallest Euclidean distances / (scale of the series * sqrt(dims)).
// Source: conformal k-NN anomaly detection (Burnaev & Ishimtsev 2016, arXiv:1608.04585), without
// its whitening.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "models/engines/detectors/knn_distance.h"
#include "models/engines/detectors/series.h"

namespace qw::models::detectors {

// What the kNN detector is made from. A plain value; settings_fields.cpp has the ranges.
struct KnnSettings {
  int dims = 12;         // block means in a vector
  int step = 2;          // rows in a block mean
  int vectors = 500;     // vectors searched
  int stride = 2;        // rows between two remembered vectors
  int delay_rows = 200;  // a vector becomes visible this late; an eighth of the rows seen if less
  int neighbours = 5;    // nearest vectors averaged
};

inline constexpr int kNeighboursMax = 32;
inline constexpr size_t kVectorElementsMax = 64;

// The kernel. Immutable; its per-series state is the ring of vectors alone (which vector lies where
// follows from the number of rows seen). Threads: concurrent calls on different states.
class Knn {
 public:
  explicit Knn(const KnnSettings& settings, DistanceFunction distance = best_distance_function());

  size_t recent_rows() const { return dims_ * step_; }
  size_t state_floats() const { return blocks_ * dims_ * kLanes; }
  // Raw value of the row, or nothing while too few vectors are visible. Then remembers the row.
  std::optional<double> update(const Row& row, std::span<float> vectors) const;
  // First row at which there can be a raw value.
  uint64_t rows_until_ready() const;

 private:
  struct Visible {
    uint64_t first = 0;  // numbers of remembered vectors, counted from the series' start
    uint64_t end = 0;
  };
  Visible visible_at(uint64_t rows) const;
  double mean_nearest(std::span<const float> vectors, const float* query, Visible visible) const;

  size_t dims_, step_;
  uint64_t stride_, delay_, searched_;
  size_t neighbours_, blocks_;
  DistanceFunction distance_;
};

}  // namespace qw::models::detectors
