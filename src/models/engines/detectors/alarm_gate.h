// After an alarm: silence. One incident raises one alarm, not one per row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace qw::models::detectors {

// rows_min and share: after an alarm the gate is shut for max(rows_min, share * rows seen) rows.
struct AlarmSilence {
  int rows_min = 30;
  double share = 0.03;
};

// Decides for one series which rows above the threshold are alarms. A plain value: copy it, store
// its bytes; zero bytes mean "nothing seen". Not thread safe. Never fails.
struct AlarmGate {
  uint64_t rows = 0;
  uint64_t silent_rows = 0;  // rows still to be silent

  // Takes the next row; true when it raises an alarm.
  bool admit(bool above_threshold, const AlarmSilence& silence = {}) {
    ++rows;
    if (silent_rows > 0) {
      --silent_rows;
      return false;
    }
    if (!above_threshold) return false;
    const auto share = static_cast<uint64_t>(silence.share * static_cast<double>(rows));
    silent_rows = std::max(static_cast<uint64_t>(silence.rows_min), share);
    return true;
  }
};
static_assert(std::is_trivially_copyable_v<AlarmGate>);

}  // namespace qw::models::detectors
