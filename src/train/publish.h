// The registry writer: a trained version becomes a package and a row of the registry.
#pragma once

#include <string>

#include "base/result.h"
#include "models/package.h"
#include "models/registry.h"

namespace qw::train {

// Where a version comes from; all of it is required. A value.
struct Lineage {
  std::string run_id;
  std::string trigger;  // "person", "verdict", "drift", "schedule", "command"
  std::string reason;
  int64_t parent = 0;  // the version it was compared with; 0: the application file's own settings
  size_t labels = 0;
  std::string labels_from;  // "nab, incidents"
  int64_t data_from_us = 0;
  int64_t data_to_us = 0;
  std::string definition;  // hash of what the model reads and how
  uint64_t seed = 0;
  size_t trials = 0;
  std::string then;  // "swap", "publish"
};
std::string lineage_json(const Lineage& lineage);

// Publishes the package (models::publish_package) with its origin: with `refusal`, as refused.
// kBadInput when the lineage lacks something; otherwise as the registry and the package.
Result<models::VersionInfo> publish(models::Registry& registry, models::Package package,
                                    const Lineage& lineage, const std::string& refusal);

}  // namespace qw::train
