#include "models/engines/detectors/knn.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace qw::models::detectors {
namespace {

constexpr uint64_t kVisibleMin = 11;  // fewer neighbours to choose from say nothing
constexpr uint64_t kDelayShare = 8;   // young series: the delay is this share of the rows seen
constexpr size_t kChunkBlocks = 32;   // distances computed between two looks at them

// The smallest values seen so far, in ascending order.
class Smallest {
 public:
  explicit Smallest(size_t count) : count_(count) {
    values_.fill(std::numeric_limits<float>::infinity());
  }
  float largest() const { return values_[count_ - 1]; }
  void offer(float value) {
    size_t at = count_ - 1;
    for (; at > 0 && values_[at - 1] > value; --at) values_[at] = values_[at - 1];
    values_[at] = value;
  }
  double mean_root() const {
    double sum = 0;
    for (size_t i = 0; i < count_; ++i) sum += std::sqrt(static_cast<double>(values_[i]));
    return sum / static_cast<double>(count_);
  }

 private:
  size_t count_;
  std::array<float, kNeighboursMax> values_;
};

bool any_below(const float* lanes, float limit) {
  int below = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) below |= lanes[lane] < limit ? 1 : 0;
  return below != 0;
}

}  // namespace

Knn::Knn(const KnnSettings& settings, DistanceFunction distance)
    : dims_(static_cast<size_t>(settings.dims)),
      step_(static_cast<size_t>(settings.step)),
      stride_(static_cast<uint64_t>(settings.stride)),
      delay_(static_cast<uint64_t>(settings.delay_rows)),
      searched_(static_cast<uint64_t>(settings.vectors)),
      neighbours_(static_cast<size_t>(settings.neighbours)),
      distance_(distance) {
  // Room for the searched vectors and those that are remembered but not visible yet.
  const uint64_t capacity = searched_ + delay_ / stride_ + 1;
  blocks_ = static_cast<size_t>((capacity + kLanes - 1) / kLanes);
}

Knn::Visible Knn::visible_at(uint64_t rows) const {
  const uint64_t delay = std::max<uint64_t>(1, std::min(delay_, rows / kDelayShare));
  const uint64_t first_row = recent_rows();
  if (rows < first_row + delay) return {};
  const uint64_t end = (rows - delay - first_row) / stride_ + 1;
  return {end > searched_ ? end - searched_ : 0, end};
}

uint64_t Knn::rows_until_ready() const {
  uint64_t rows = recent_rows() + stride_ * kVisibleMin;
  for (;; ++rows) {
    const Visible visible = visible_at(rows);
    if (visible.end - visible.first >= kVisibleMin) return rows;
  }
}

double Knn::mean_nearest(std::span<const float> vectors, const float* query,
                         Visible visible) const {
  std::array<float, kChunkBlocks * kLanes> distances;
  Smallest smallest(neighbours_);
  const uint64_t capacity = blocks_ * kLanes;
  // The visible vectors lie in the ring as one or two runs of slots.
  for (uint64_t at = visible.first; at < visible.end;) {
    const size_t slot = static_cast<size_t>(at % capacity);
    const size_t run = static_cast<size_t>(std::min(visible.end - at, capacity - slot));
    const size_t run_end = slot + run;
    for (size_t from = slot; from < run_end;) {
      const size_t block = from / kLanes;
      const size_t end_block = std::min((run_end + kLanes - 1) / kLanes, block + kChunkBlocks);
      distance_(vectors.data(), dims_, query, block, end_block, distances.data());
      const size_t to = std::min(run_end, end_block * kLanes);
      for (size_t b = block; b < end_block; ++b) {
        const float* lanes = distances.data() + (b - block) * kLanes;
        if (!any_below(lanes, smallest.largest())) continue;
        const size_t begin = std::max(from, b * kLanes);
        const size_t end = std::min(to, (b + 1) * kLanes);
        for (size_t s = begin; s < end; ++s) {
          const float distance = lanes[s - b * kLanes];
          if (distance < smallest.largest()) smallest.offer(distance);
        }
      }
      from = to;
    }
    at += run;
  }
  return smallest.mean_root();
}

std::optional<double> Knn::update(const Row& row, std::span<float> vectors) const {
  if (row.rows < recent_rows()) return std::nullopt;
  std::array<float, kVectorElementsMax> query;
  const float* values = row.recent.data() + row.recent.size() - recent_rows();
  for (size_t e = 0; e < dims_; ++e) {
    double sum = 0;
    for (size_t i = 0; i < step_; ++i) sum += static_cast<double>(values[e * step_ + i]);
    query[e] = static_cast<float>(sum / static_cast<double>(step_));
  }
  std::optional<double> raw;
  const Visible visible = visible_at(row.rows);
  if (visible.end - visible.first >= kVisibleMin) {
    raw = mean_nearest(vectors, query.data(), visible) /
          (row.scale * std::sqrt(static_cast<double>(dims_)));
  }
  const uint64_t since_first = row.rows - recent_rows();
  if (since_first % stride_ == 0) {
    const uint64_t slot = since_first / stride_ % (blocks_ * kLanes);
    float* block = vectors.data() + slot / kLanes * dims_ * kLanes;
    for (size_t e = 0; e < dims_; ++e) block[e * kLanes + slot % kLanes] = query[e];
  }
  return raw;
}

}  // namespace qw::models::detectors
