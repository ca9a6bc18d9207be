// What the detectors' tests share: a state block and a series to feed. For tests only.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "base/env.h"
#include "models/engine.h"

namespace qw::models::detectors::testing {

// A fresh, aligned state block of an engine.
class State {
 public:
  explicit State(const LearningEngine& engine)
      : bytes_(engine.state_bytes()), words_((bytes_ + 7) / 8) {
    engine.init(bytes());
  }
  std::span<std::byte> bytes() { return {reinterpret_cast<std::byte*>(words_.data()), bytes_}; }

 private:
  size_t bytes_;
  std::vector<uint64_t> words_;
};

// Five-minute rows with a daily season and noise; a step, a spike and a flat stretch per thousand.
inline std::vector<Observation> synthetic_series(size_t rows, uint64_t seed = 1) {
  Random random(seed);
  const auto noise = [&random] {  // nearly Gaussian, deviation 3
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    return 3 * sum;
  };
  std::vector<Observation> series;
  for (size_t i = 0; i < rows; ++i) {
    const double day = static_cast<double>(i) / 288.0;
    double value = 100 + 20 * std::sin(2 * std::numbers::pi * day) + noise();
    if (i % 1000 == 600) value += 120;
    if (i % 1000 > 800 && i % 1000 < 830) value = 140;
    if (i % 1000 > 930) value += 60;
    series.push_back({static_cast<int64_t>(i) * 300'000'000 + 1'400'000'000'000'000, value});
  }
  return series;
}

}  // namespace qw::models::detectors::testing
