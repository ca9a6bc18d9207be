// Durations and windows as an application writes them: 500ms, 30s, 1m, 1h, 7d, 7d/1h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::features {

// A length of time as the application file writes it (schema/settings.h), above zero.
Result<int64_t> parse_duration_us(std::string_view text);

// A sliding window in event time that ends at t. Bare (step_us 0): t - length < event_time <= t.
// Stepped: floor(t - length, step) <= event_time <= t, the floor counted from 1970 towards the
// past, so up to one step longer.
struct Window {
  int64_t length_us = 0;
  int64_t step_us = 0;

  // The first event time inside the window that ends at `t`. Saturates at the int64 range.
  int64_t first_inside(int64_t t) const;
  // Longest distance from t to the first moment inside.
  int64_t reach_us() const { return length_us + step_us; }
  // As written ("7d/1h"), and as part of a feature's name ("7d_by_1h").
  std::string to_string() const;
  std::string name() const;
  friend bool operator==(const Window&, const Window&) = default;
};
Result<Window> parse_window(std::string_view text);

// Rounds towards the past: floor_to(-1, 10) is -10.
constexpr int64_t floor_to(int64_t value, int64_t step) {
  const int64_t rest = value % step;
  return value - (rest < 0 ? rest + step : rest);
}

}  // namespace qw::features
