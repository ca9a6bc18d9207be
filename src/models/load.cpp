#include "models/load.h"

#include "models/engines/builtin.h"
#include "models/package.h"

namespace qw::models {

Result<std::shared_ptr<const LearningEngine>> load_engine(const Registry& registry,
                                                          const std::string& model,
                                                          int64_t version) {
  QW_ASSIGN(const VersionInfo info, registry.version(model, version));
  auto read = read_package(registry.folder() + "/" + info.folder);
  if (!read.ok()) {
    Error error = read.error();
    // The registry says that it exists.
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kCorrupt;
    return error;
  }
  const Package& package = *read;
  QW_ASSIGN(const Settings settings, settings_from_json(package.kind, package.settings));
  QW_ASSIGN(auto engine, make_detector(package.kind, settings));
  return std::shared_ptr<const LearningEngine>(std::move(engine));
}

}  // namespace qw::models
