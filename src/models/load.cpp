#include "models/load.h"

#include <fmt/format.h>

#include "models/engines/builtin.h"
#include "models/package.h"

namespace qw::models {

Result<LoadedModel> load_model(const Registry& registry, const std::string& model,
                               int64_t version) {
  QW_ASSIGN(const VersionInfo info, registry.version(model, version));
  const std::string folder = registry.folder() + "/" + info.folder;
  auto read = read_package(folder);
  if (!read.ok()) {
    Error error = read.error();
    // The registry says that it exists.
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kCorrupt;
    return error;
  }
  if (!info.digest.empty() && content_digest(*read) != info.digest)
    return Error{ErrorCode::kCorrupt,
                 fmt::format("the folder holds another package than was published as version {} "
                             "of '{}'",
                             version, model),
                 folder, "restore the package's folder from a copy"};
  QW_ASSIGN(Engine engine, make_engine(*read));
  return LoadedModel{std::move(engine), read->inputs, read->outputs};
}

Result<std::shared_ptr<const LearningEngine>> load_engine(const Registry& registry,
                                                          const std::string& model,
                                                          int64_t version) {
  QW_ASSIGN(const LoadedModel loaded, load_model(registry, model, version));
  if (const auto* learning = std::get_if<std::shared_ptr<const LearningEngine>>(&loaded.engine))
    return *learning;
  const auto& scoring = std::get<std::shared_ptr<const ScoringEngine>>(loaded.engine);
  return Error{ErrorCode::kUnsupported,
               fmt::format("version {} of '{}' is a '{}', which does not learn while it scores",
                           version, model, scoring->kind()),
               model, "name a version of a detector here"};
}

}  // namespace qw::models
