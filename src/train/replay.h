// Runs an engine over recorded series, as it would have run live.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/engine.h"

namespace qw::train {

// What an engine said of each row of one series.
struct Replayed {
  std::vector<double> scores;
  std::vector<bool> warm;
};

// A fresh state, then every row in order. Pure; any thread.
Replayed replay(std::span<const models::Observation> rows, const models::LearningEngine& engine);

}  // namespace qw::train
