// Feeds kernels with rows, as the engine does. For tests only.
#pragma once

#include <vector>

#include "models/engines/detectors/series.h"
#include "models/engines/detectors/testing.h"

namespace qw::models::detectors::testing {

// One series on its way through observe(). Keeps the state; not thread safe.
class RowFeeder {
 public:
  explicit RowFeeder(size_t recent_rows) : ring_(recent_ring_floats(recent_rows)) {}
  Row next(const Observation& o) { return observe(state_, ring_, o.event_time_us, o.value); }

 private:
  SeriesState state_;
  std::vector<float> ring_;
};

}  // namespace qw::models::detectors::testing
