#include "models/engines/builtin.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "models/engines/detectors/detector.h"
#include "models/engines/linear/linear.h"
#include "schema/settings.h"

namespace qw::models {
namespace {

Result<Engine> detector(const Package& package) {
  QW_ASSIGN(const Settings settings, settings_from_json(package.kind, package.settings));
  QW_ASSIGN(auto engine, make_detector(package.kind, settings));
  return Engine(std::shared_ptr<const LearningEngine>(std::move(engine)));
}

constexpr EngineKind kKinds[] = {
    {"activity", detector}, {"ensemble", detector},   {"half_space_trees", detector},
    {"knn", detector},      {"linear", linear::make}, {"relative_entropy", detector},
    {"seasonal", detector},
};
static_assert(named_once(kKinds), "two kinds of model have one name");

}  // namespace

std::span<const EngineKind> engine_kinds() { return kKinds; }

Result<Engine> make_engine(const Package& package) {
  std::vector<std::string> known;
  for (const EngineKind& kind : kKinds) {
    if (kind.name == package.kind) return kind.make(package);
    known.emplace_back(kind.name);
  }
  return Error{ErrorCode::kBadInput, fmt::format("no kind of model is called '{}'", package.kind),
               package.model, schema::suggestion(package.kind, known)};
}

Result<std::unique_ptr<LearningEngine>> make_detector(std::string_view kind,
                                                      const Settings& settings) {
  // Every detector is a set of members of one engine; detectors::detector_kinds() names them.
  QW_ASSIGN(const detectors::DetectorSettings applied, detectors::apply_settings(kind, settings));
  return detectors::make_detector_engine(kind, applied, kStateBytesMax);
}

}  // namespace qw::models
