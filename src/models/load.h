// From a version in the registry to an engine that can score.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "models/engine.h"
#include "models/registry.h"

namespace qw::models {

// Reads and checks the version's package and makes its engine. kNotFound, kCorrupt, kBadInput (an
// unknown kind or setting).
Result<std::shared_ptr<const LearningEngine>> load_engine(const Registry& registry,
                                                          const std::string& model,
                                                          int64_t version);

}  // namespace qw::models
