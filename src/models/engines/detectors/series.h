// What every detector needs to know of a series: its offset, its scale and its last values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "models/engines/detectors/moments.h"

namespace qw::models::detectors {

// Values are kept as differences from the first one, so that small movements of large numbers
// (bytes of memory) survive in float, and are limited to this, so that squares stay finite.
inline constexpr double kDifferenceMax = 1e16;

// One row as the detectors see it. Borrowed for the length of one call.
struct Row {
  int64_t event_time_us = 0;
  uint64_t rows = 0;     // finite values seen, this one included
  double value = 0;      // less the first value of the series
  double previous = 0;   // the row before; equal to value at the first row
  double mean = 0;       // of all values, this one included
  double deviation = 0;  // of all values, this one included
  double scale = 0;      // deviation with a floor: never 0, above the noise of float arithmetic
  double min = 0;        // of all values, this one included
  double max = 0;        // of all values, this one included
  std::span<const float> recent;  // the last values, oldest first, this one last
};

// Hot part of a series' state; the ring of recent values lies behind it in the same block.
struct SeriesState {
  uint64_t rows = 0;
  uint64_t missing = 0;
  double anchor = 0;  // the first value
  double previous = 0;
  double min = 0;
  double max = 0;
  Moments all;
};
static_assert(std::is_trivially_copyable_v<SeriesState>);

// Floats the ring needs to show `length` recent values: each is written twice, so that the last
// `length` values are always contiguous and nothing is ever shifted.
constexpr size_t recent_ring_floats(size_t length) { return 2 * length; }

// Adds a finite value and returns the row. `ring` has recent_ring_floats(length) floats.
Row observe(SeriesState& state, std::span<float> ring, int64_t event_time_us, double value);

}  // namespace qw::models::detectors
