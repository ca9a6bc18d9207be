// A model as the application describes it, and which of its versions serves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "models/engine.h"
#include "models/registry.h"
#include "store/store.h"

namespace qw::serve {

// A value; immutable once compiled, then readable from any thread.
struct ModelPlan {
  std::string name;
  // The version that the application file itself describes: version 0. Null: rules or, with a name
  // in the registry, nothing until a version of there serves.
  std::shared_ptr<const models::LearningEngine> engine;
  std::string registry_name;      // where newer versions come from; empty: nowhere
  std::optional<int64_t> pinned;  // the one version that serves
};

// The version that serves a model now, or will at the next start: the pinned one, the store's
// record of the last swap, then the registry's alias, then 0. `store` may be null.
Result<int64_t> serving_version(const store::Store* store, const models::Registry& registry,
                                const ModelPlan& model);

// A version that shall be left, and the one that comes back. A value.
struct RollbackAsked {
  std::string model;
  int64_t from = 0;
  int64_t to = 0;  // 0: what the application file says
};
// Marks the version that serves as rolling back: the running program warms up the version before it
// and swaps, a stopped one after its next start. kConflict: nothing came before, or it is under way
// already; kBadInput: the file pins the version.
Result<RollbackAsked> ask_rollback(const ModelPlan& model, models::Registry& registry,
                                   const std::string& reason, int64_t at_us);

}  // namespace qw::serve
