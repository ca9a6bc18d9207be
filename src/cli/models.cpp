// `quickwater models`: which versions a model has and who serves, and putting the one before back.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/runtime/plan.h"
#include "app/runtime/training_run.h"
#include "base/env.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "models/registry.h"

namespace qw::cli {
namespace {

using nlohmann::json;

struct Arguments {
  std::string what;
  std::string file = "app.yaml";
  std::string data;
  std::string model;
  std::string reason;
  bool json = false;
};

json json_of(const models::VersionInfo& info) {
  return {{"model", info.model},
          {"version", info.version},
          {"state", models::name_of(info.state)},
          {"parent", info.parent},
          {"published_us", info.published_us},
          {"swapped_us", info.swapped_us},
          {"reason", info.reason},
          {"metrics", json::parse(info.metrics, nullptr, /*allow_exceptions=*/false)}};
}

// Version 0, what the file says, is listed where it serves or came before.
Result<std::vector<models::VersionInfo>> versions_of(const models::Registry& registry,
                                                     const app::PlanModel& model) {
  QW_ASSIGN(auto versions, registry.versions(model.registry_name));
  QW_ASSIGN(const auto champion, registry.alias(model.registry_name, "champion"));
  models::VersionInfo from_file;
  from_file.model = model.registry_name;
  from_file.state = champion ? models::VersionState::kPrevious : models::VersionState::kChampion;
  versions.push_back(from_file);
  return versions;
}

Result<void> list(const Arguments& arguments, const app::Plan& plan,
                  const models::Registry& registry, Io io) {
  json all = json::array();
  if (!arguments.json)
    io.out << fmt::format("{:<20}{:>8}  {:<13}{:>8}{:>16}  {}\n", "model", "version", "state",
                          "parent", "held-out score", "reason");
  for (const app::PlanModel& model : plan.models) {
    if (!model.engine || (!arguments.model.empty() && model.name != arguments.model)) continue;
    QW_ASSIGN(const auto versions, versions_of(registry, model));
    for (const models::VersionInfo& info : versions) {
      const json one = json_of(info);
      all.push_back(one);
      const auto score = one["metrics"].find("held_out");
      if (!arguments.json)
        io.out << fmt::format("{:<20}{:>8}  {:<13}{:>8}{:>16}  {}\n", info.model, info.version,
                              models::name_of(info.state),
                              info.version > 0 ? std::to_string(info.parent) : "",
                              score != one["metrics"].end() && score->is_number()
                                  ? fmt::format("{:.2f}", score->get<double>())
                                  : "",
                              info.version > 0 ? info.reason : "what the application file says");
    }
  }
  if (arguments.json) io.out << all.dump(2) << '\n';
  return {};
}

Result<void> roll_back(const Arguments& arguments, const app::Plan& plan,
                       models::Registry& registry, Io io) {
  QW_ASSIGN(const size_t model, app::trainable_model(plan, arguments.model));
  QW_ASSIGN(
      const serve::RollbackAsked asked,
      serve::ask_rollback(plan.models[model], registry, arguments.reason, real_clock().wall_us()));
  if (arguments.json)
    io.out << json{{"model", asked.model}, {"from", asked.from}, {"to", asked.to}}.dump(2) << '\n';
  else
    io.out << fmt::format(
        "version {} of '{}' will take the place of version {}: a running program warms it up and "
        "swaps, a stopped one at its next start\n",
        asked.to, asked.model, asked.from);
  return {};
}

Result<void> run_models(const Arguments& arguments, const app::Plan& plan, Io io) {
  const std::string folder =
      arguments.data.empty() ? plan.file.resolve(plan.file.data) : arguments.data;
  QW_ASSIGN(const auto registry, models::Registry::open(folder));
  return arguments.what == "list" ? list(arguments, plan, *registry, io)
                                  : roll_back(arguments, plan, *registry, io);
}

}  // namespace

Run declare_models(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option("what", arguments->what,
                  "list, or rollback: the version before the one that serves takes its place again")
      ->required()
      ->check(CLI::IsMember({"list", "rollback"}));
  add_file_argument(command, arguments->file);
  command.add_option("--model", arguments->model,
                     "the model; a rollback needs it when several have a detector");
  command.add_option("--reason", arguments->reason, "of a rollback; kept with the version");
  command.add_option("--data", arguments->data, "the data folder, in place of the file's `data`");
  command.add_flag("--json", arguments->json, "the result as JSON");
  return [arguments](Io io) {
    const auto plan = load_or_say(arguments->file, io);
    if (plan == nullptr) return kBadAppFile;
    const Result<void> done = run_models(*arguments, *plan, io);
    return done.ok() ? kOk : say(io, done.error());
  };
}

}  // namespace qw::cli
