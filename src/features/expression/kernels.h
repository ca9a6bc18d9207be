// Loops that lift a function of cells to a kernel over rows.
#pragma once

#include "features/expression/typed.h"

namespace qw::features {

constexpr int64_t kPowerOfTen[] = {1,
                                   10,
                                   100,
                                   1'000,
                                   10'000,
                                   100'000,
                                   1'000'000,
                                   10'000'000,
                                   100'000'000,
                                   1'000'000'000,
                                   10'000'000'000,
                                   100'000'000'000,
                                   1'000'000'000'000,
                                   10'000'000'000'000,
                                   100'000'000'000'000,
                                   1'000'000'000'000'000,
                                   10'000'000'000'000'000,
                                   100'000'000'000'000'000,
                                   1'000'000'000'000'000'000};
using Int128 = __int128;

inline Cell narrow(Int128 value) {
  const auto low = static_cast<int64_t>(value);
  return low == value ? Cell::of_int(low) : Cell{};
}
// A decimal's unscaled value: null when it needs more digits than `limit` = 10^precision allows.
inline Cell narrow_decimal(Int128 value, int64_t limit) {
  return value < limit && value > -Int128{limit} ? Cell::of_int(static_cast<int64_t>(value))
                                                 : Cell{};
}
// Divides by a power of ten, rounding half away from zero.
inline Int128 divide_rounded(Int128 value, int64_t divisor) {
  const Int128 half = divisor / 2;
  return (value >= 0 ? value + half : value - half) / divisor;
}
inline double decimal_to_double(int64_t value, int64_t power) {
  constexpr int64_t kExact = int64_t{1} << 53;
  if (value >= -kExact && value <= kExact)
    return static_cast<double>(value) / static_cast<double>(power);
  return static_cast<double>(value / power) +
         static_cast<double>(value % power) / static_cast<double>(power);
}

// One argument; null in, null out.
template <auto F>
void unary(const Step& step, const Frame& frame) {
  Cell* const out = frame.slot(step.out);
  const Cell* const a = frame.slot(step.args[0]);
  for (size_t row = 0; row < frame.rows; ++row) out[row] = a[row].null ? Cell{} : F(a[row], step);
}

// Two arguments; null when either is.
template <auto F>
void binary(const Step& step, const Frame& frame) {
  Cell* const out = frame.slot(step.out);
  const Cell* const a = frame.slot(step.args[0]);
  const Cell* const b = frame.slot(step.args[1]);
  for (size_t row = 0; row < frame.rows; ++row)
    out[row] = a[row].null || b[row].null ? Cell{} : F(a[row], b[row], step);
}

// Any number of arguments, nulls included: F(step, frame, row).
template <auto F>
void each_row(const Step& step, const Frame& frame) {
  Cell* const out = frame.slot(step.out);
  for (size_t row = 0; row < frame.rows; ++row) out[row] = F(step, frame, row);
}

}  // namespace qw::features
