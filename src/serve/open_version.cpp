#include "serve/open_version.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

#include "models/load.h"
#include "serve/learning_model.h"
#include "serve/scoring_version.h"

namespace qw::serve {

namespace {

using Scoring = std::shared_ptr<const models::ScoringEngine>;

Result<void> check_kind(const ModelPlan& model, const models::Engine& engine,
                        const std::string& which) {
  const auto* const scoring = std::get_if<Scoring>(&engine);
  if (model.engine && scoring != nullptr)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} is a '{}', which does not learn while it scores", which,
                             (*scoring)->kind()),
                 model.name, "leave `detector` out of the model: its `versions` say what scores"};
  if (!model.engine && scoring == nullptr)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} learns while it scores, and the model has no detector whose place "
                             "it could take",
                             which),
                 model.name, "give the model a `detector`"};
  return {};
}

}  // namespace

Result<models::Engine> load_version(const models::Registry& registry, const ModelPlan& model,
                                    int64_t version) {
  if (version == 0 && !model.engine)
    return Error{ErrorCode::kNotFound,
                 fmt::format("'{}' has no version before its first", model.name), model.name,
                 "bring in a version that shall serve"};
  if (version == 0) return models::Engine(model.engine);
  QW_ASSIGN(const models::LoadedModel loaded,
            models::load_model(registry, model.registry_name, version));
  QW_TRY(check_kind(model, loaded.engine, fmt::format("version {} of '{}'", version, model.name)));
  return loaded.engine;
}

Result<void> check_engine(const ModelPlan& model, const models::Engine& engine,
                          const schema::Schema& inputs) {
  QW_TRY(check_kind(model, engine, "it"));
  const auto* const scoring = std::get_if<Scoring>(&engine);
  if (scoring == nullptr) return {};
  ServingOptions options;
  options.model = model.name;
  options.inputs = inputs;
  QW_TRY(ScoringVersion::make(options, 0, *scoring));
  return {};
}

Result<std::unique_ptr<ServedVersion>> open_version(const store::Store& store,
                                                    const models::Registry& registry,
                                                    const ModelPlan& model,
                                                    const ServingOptions& options,
                                                    int64_t version) {
  QW_ASSIGN(const models::Engine engine, load_version(registry, model, version));
  if (const auto* scoring = std::get_if<std::shared_ptr<const models::ScoringEngine>>(&engine)) {
    QW_ASSIGN(auto made, ScoringVersion::make(options, version, *scoring));
    return std::unique_ptr<ServedVersion>(std::move(made));
  }
  return std::unique_ptr<ServedVersion>(std::make_unique<LearningVersion>(
      store, options, version, std::get<std::shared_ptr<const models::LearningEngine>>(engine)));
}

}  // namespace qw::serve
