#include "serve/model_plan.h"

#include <fmt/format.h>

#include "store/commit/meta_names.h"

namespace qw::serve {

Result<int64_t> serving_version(const store::Store* store, const models::Registry& registry,
                                const ModelPlan& model) {
  if (model.pinned) return *model.pinned;
  if (store != nullptr) {
    QW_ASSIGN(const auto served, store->get_meta(store::meta::serving(model.registry_name)));
    if (served) return static_cast<int64_t>(std::stoll(*served));
  }
  QW_ASSIGN(const auto champion, registry.alias(model.registry_name, "champion"));
  return champion.value_or(0);
}

Result<RollbackAsked> ask_rollback(const ModelPlan& model, models::Registry& registry,
                                   const std::string& reason, int64_t at_us) {
  if (model.pinned)
    return Error{
        ErrorCode::kBadInput,
        fmt::format("the application file pins '{}' to version {}", model.name, *model.pinned),
        model.name, "name the version there that shall serve"};
  QW_ASSIGN(const auto serving, registry.alias(model.registry_name, "champion"));
  if (!serving)
    return Error{
        ErrorCode::kConflict,
        fmt::format("'{}' is served as the application file says; nothing came before", model.name),
        model.name, ""};
  QW_ASSIGN(const models::VersionInfo info, registry.version(model.registry_name, *serving));
  if (info.state == models::VersionState::kRollingBack)
    return Error{
        ErrorCode::kConflict,
        fmt::format("version {} of '{}' is being rolled back already", *serving, model.name),
        model.name, "wait: a program that runs does it within seconds"};
  if (info.parent == 0 && !model.engine)
    return Error{ErrorCode::kConflict,
                 fmt::format("version {} of '{}' took no other's place; nothing came before",
                             *serving, model.name),
                 model.name, "bring in a version that shall take its place"};
  QW_TRY(registry.set_state(model.registry_name, *serving, models::VersionState::kRollingBack,
                            reason.empty() ? "no reason was given" : reason, at_us,
                            models::VersionState::kChampion));
  return RollbackAsked{model.name, *serving, info.parent};
}

}  // namespace qw::serve
