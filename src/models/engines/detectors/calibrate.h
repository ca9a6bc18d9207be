// Makes the raw values of unlike detectors comparable: each is judged against its own past.
// A raw value's short mean is turned into a z by the long-run moments of the same raw values, and
// the z into sqrt(-log10(two-sided Gaussian tail)), so that sums of several behave (the evidence
// of members adds up, no single one can shout the others down beyond `cap`).
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/engines/detectors/moments.h"

namespace qw::models::detectors {

inline constexpr size_t kShortRowsMax = 8;

// How raw values are calibrated. A plain value; settings_fields.cpp has the ranges.
struct Calibration {
  int short_rows = 1;        // raw values in the short mean
  double rate = 0.00025;     // forgetting of the long-run moments
  double prior_zeros = 200;  // the moments start as if so many raw values of 0 had been seen
  double cap = 4;            // the largest value returned
  int rows_min = 20;         // raw values seen before anything is said
};

// Part of a series' state: flat, zero bytes mean "nothing seen". Not thread safe.
struct Calibrator {
  Moments past;
  float recent[kShortRowsMax] = {};
  uint32_t cursor = 0;  // the slot of `recent` to write next
  uint32_t reserved = 0;

  // Judges `raw` (finite, >= 0), then learns it. Returns 0..cap.
  double judge(double raw, const Calibration& settings);
};
static_assert(std::is_trivially_copyable_v<Calibrator>);

// sqrt(-log10(P(|Z| >= z))) for a standard normal Z, at most `cap`; 0 for z <= 0. Finite for any z.
double tail_score(double z, double cap);

}  // namespace qw::models::detectors
