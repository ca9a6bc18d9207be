// From a version in the registry to an engine that can score.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "models/engine.h"
#include "models/registry.h"
#include "models/scoring_engine.h"
#include "schema/type.h"

namespace qw::models {

// A version, ready to score, with what its package declares. Packages of format 1 declare no
// outputs. A value; copies share the engine.
struct LoadedModel {
  Engine engine;
  schema::Schema inputs, outputs;
};

// Reads and checks the version's package and makes its engine. kNotFound, kCorrupt (also: the
// folder holds another package than was published), kBadInput (an unknown kind or setting).
Result<LoadedModel> load_model(const Registry& registry, const std::string& model, int64_t version);
// The same of a version that learns while it scores; kUnsupported where it does not.
Result<std::shared_ptr<const LearningEngine>> load_engine(const Registry& registry,
                                                          const std::string& model,
                                                          int64_t version);

}  // namespace qw::models
