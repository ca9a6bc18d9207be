// Which segments are no longer kept.
#pragma once

#include <cstdint>
#include <vector>

#include "app/config/app_file.h"
#include "store/segments/segment.h"

namespace qw::app {

// A value.
struct Retained {
  std::vector<store::Segment> gone;     // too old, or more than may be kept; oldest first
  std::vector<store::Segment> undated;  // whose age nobody knows: from now on they grow old
};

// `segments` as store::all_segments() lists them. `believed`: the clock is (see ClockTrust); when
// it is not, nothing is too old. No segment counts as older than the one before it in its
// partition, and one from the future has no age, whatever a clock said when it was written.
Retained retained(std::vector<store::Segment> segments, const RetentionSettings& settings,
                  int64_t now_us, bool believed);

}  // namespace qw::app
