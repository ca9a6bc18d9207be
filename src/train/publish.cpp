#include "train/publish.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "models/publish.h"

namespace qw::train {
namespace {

using nlohmann::json;

Result<void> check(const Lineage& lineage) {
  const auto missing = [](const char* what) {
    return Error{ErrorCode::kBadInput, fmt::format("the lineage lacks {}", what), "lineage",
                 "a version without its origin is not published"};
  };
  if (lineage.run_id.empty()) return missing("the run");
  if (lineage.trigger.empty()) return missing("the trigger");
  if (lineage.labels == 0 || lineage.labels_from.empty()) return missing("the labels");
  if (lineage.data_to_us <= lineage.data_from_us) return missing("the span of data");
  if (lineage.definition.empty()) return missing("the definition");
  if (lineage.trials == 0) return missing("the trials");
  if (lineage.then.empty()) return missing("what is to follow");
  return {};
}

}  // namespace

std::string lineage_json(const Lineage& lineage) {
  return json{{"run_id", lineage.run_id},
              {"trigger", lineage.trigger},
              {"reason", lineage.reason},
              {"parent", std::to_string(lineage.parent)},
              {"labels", lineage.labels},
              {"labels_from", lineage.labels_from},
              {"data_from_us", lineage.data_from_us},
              {"data_to_us", lineage.data_to_us},
              {"definition", lineage.definition},
              {"seed", lineage.seed},
              {"trials", lineage.trials},
              {"then", lineage.then}}
      .dump();
}

Result<models::VersionInfo> publish(models::Registry& registry, models::Package package,
                                    const Lineage& lineage, const std::string& refusal) {
  QW_TRY(check(lineage));
  package.lineage = lineage_json(lineage);
  return models::publish_package(registry, std::move(package), lineage.parent, refusal);
}

}  // namespace qw::train
