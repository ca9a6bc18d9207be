// The list of engines that learn per series.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "models/engine.h"
#include "models/engines/detectors/settings.h"

namespace qw::models {

// Makes an engine of the kind with the given settings; what they do not name has its default.
// kBadInput: no such kind (the message lists the known ones), a setting that check_settings
// refuses, no member with a weight, or a state larger than kStateBytesMax.
inline constexpr size_t kStateBytesMax = size_t{1} << 20;
Result<std::unique_ptr<LearningEngine>> make_detector(std::string_view kind,
                                                      const Settings& settings = {});

}  // namespace qw::models
