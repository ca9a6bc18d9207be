// One or more kernels, each calibrated against its own past, summed by weight: the engine behind
// every detector kind.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "models/engine.h"
#include "models/engines/detectors/settings.h"

namespace qw::models::detectors {

// score = sum over members of weight * calibrated raw value (see calibrate.h).
// kBadInput: no member has a weight, or the state would be larger than state_bytes_max.
Result<std::unique_ptr<LearningEngine>> make_detector_engine(std::string_view kind,
                                                             const DetectorSettings& settings,
                                                             size_t state_bytes_max);

}  // namespace qw::models::detectors
