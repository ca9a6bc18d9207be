// From a package to a version in the registry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "models/package.h"
#include "models/registry.h"

namespace qw::models {

// Reserves the model's next version, writes the package to models/<model>/<version> of the
// registry's folder and publishes it: with `refusal`, as refused. A crash between leaves a folder
// that nothing names. `parent`: the version it was compared with, 0: none. Errors are those of the
// package and the registry.
Result<VersionInfo> publish_package(Registry& registry, Package package, int64_t parent,
                                    const std::string& refusal);

// Publishes a model that was made elsewhere: a folder with model.json,
//   {"kind": "linear", "settings": {"link": "logistic"},
//    "inputs": [{"name": "amount", "type": "double"}],
//    "outputs": [{"name": "score", "type": "double"}],
//    "metrics": {"auc": 0.91}, "lineage": {"run_id": "7"}, "profile": {}}
// of which kind, inputs and outputs are required, and every other file as an artefact. Its engine
// is made before anything is published: what cannot be served is refused. `replaces`: the version
// (0: none) whose place it takes as soon as a program serves the model; else it waits until
// somebody names it. kBadInput says what is wrong, where, and how to mend it; kNotFound: no such
// folder.
Result<VersionInfo> import_package(Registry& registry, const std::string& model,
                                   const std::string& folder, int64_t at_us,
                                   std::optional<int64_t> replaces = std::nullopt);
// What import_package() would publish, as far as the folder alone says.
Result<Package> describe_import(const std::string& model, const std::string& folder);

}  // namespace qw::models
