// From a version in the registry to one that answers decisions.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "models/registry.h"
#include "models/scoring_engine.h"
#include "serve/model_plan.h"
#include "serve/served_version.h"
#include "store/store.h"

namespace qw::serve {

// The engine of a version: 0 is the file's own. kUnsupported: a model with a detector is served by
// versions that learn, one without by versions that score rows; else as models::load_model().
Result<models::Engine> load_version(const models::Registry& registry, const ModelPlan& model,
                                    int64_t version);

// Whether such an engine can serve the model's decisions that offer these inputs: kUnsupported as
// above, kBadInput as ScoringVersion::make().
Result<void> check_engine(const ModelPlan& model, const models::Engine& engine,
                          const schema::Schema& inputs);

// The same, made ready for the decisions of one name: its states, where it has some, are where the
// store has them. Errors are also those of ScoringVersion::make().
Result<std::unique_ptr<ServedVersion>> open_version(const store::Store& store,
                                                    const models::Registry& registry,
                                                    const ModelPlan& model,
                                                    const ServingOptions& options, int64_t version);

}  // namespace qw::serve
