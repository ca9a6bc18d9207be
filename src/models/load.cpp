#include "models/load.h"

#include "models/engines/builtin.h"
#include "models/package.h"

namespace qw::models {

Result<std::shared_ptr<const LearningEngine>> load_engine(const Registry& registry,
                                                          const std::string& model,
                                                          int64_t version) {
  QW_ASSIGN(const VersionInfo info, registry.version(model, version));
  QW_ASSIGN(const Package package, read_package(registry.folder() + "/" + info.folder));
  QW_ASSIGN(const Settings settings, settings_from_json(package.kind, package.settings));
  QW_ASSIGN(auto engine, make_detector(package.kind, settings));
  return std::shared_ptr<const LearningEngine>(std::move(engine));
}

}  // namespace qw::models
