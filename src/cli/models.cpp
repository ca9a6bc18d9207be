// `quickwater models`: which versions a model has and who serves, putting the one before back, and
// bringing in what was made elsewhere.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/runtime/plan.h"
#include "base/env.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "models/engines/builtin.h"
#include "models/publish.h"
#include "models/registry.h"
#include "serve/open_version.h"

namespace qw::cli {
namespace {

using nlohmann::json;

struct Arguments {
  std::string what;
  std::string file = "app.yaml";
  std::string data;
  std::string model;
  std::string reason;
  std::string from;
  bool swap = false;
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
  if (!model.engine) return versions;
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
    const bool wanted = arguments.model.empty() || model.name == arguments.model;
    if (!wanted || model.registry_name.empty()) continue;
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
  QW_ASSIGN(const size_t model, app::versioned_model(plan, arguments.model));
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

// What would fail once it serves is refused before it is published.
Result<void> check_import(const app::Plan& plan, size_t model, const models::Package& package) {
  QW_ASSIGN(const models::Engine engine, models::make_engine(package));
  for (const app::PlanDecision& decision : plan.decisions)
    if (decision.model == model)
      QW_TRY(serve::check_engine(plan.models[model], engine, serve::offered_inputs(decision)));
  return {};
}

Result<void> import_model(const Arguments& arguments, const app::Plan& plan,
                          models::Registry& registry, Io io) {
  QW_ASSIGN(const size_t index, app::versioned_model(plan, arguments.model));
  const app::PlanModel& model = plan.models[index];
  if (arguments.from.empty())
    return Error{ErrorCode::kBadInput, "which folder is to be brought in?", "models import",
                 "name it with --from FOLDER; it holds model.json and the model's own files"};
  if (arguments.swap && model.pinned)
    return Error{
        ErrorCode::kBadInput,
        fmt::format("the application file pins '{}' to version {}", model.name, *model.pinned),
        model.name, "name the new version there, or write registry:NAME@champion"};
  QW_ASSIGN(const models::Package package,
            models::describe_import(model.registry_name, arguments.from));
  QW_TRY(check_import(plan, index, package));
  std::optional<int64_t> replaces;
  if (arguments.swap) {
    QW_ASSIGN(replaces, serve::serving_version(nullptr, registry, model));
  }
  QW_ASSIGN(const models::VersionInfo info,
            models::import_package(registry, model.registry_name, arguments.from,
                                   real_clock().wall_us(), replaces));
  if (arguments.json)
    io.out << json_of(info).dump(2) << '\n';
  else
    io.out << fmt::format(
        "version {} of '{}' is in the registry; {}\n", info.version, model.name,
        replaces ? "a running program takes it into service within seconds, a stopped one at its "
                   "next start"
                 : fmt::format("to let it serve, pin it (versions: {{ champion: \"registry:{}@{}\" "
                               "}}) or bring it in with --swap",
                               model.registry_name, info.version));
  return {};
}

Result<void> run_models(const Arguments& arguments, const app::Plan& plan, Io io) {
  const std::string folder =
      arguments.data.empty() ? plan.file.resolve(plan.file.data) : arguments.data;
  QW_ASSIGN(const auto registry, models::Registry::open(folder));
  if (arguments.what == "list") return list(arguments, plan, *registry, io);
  if (arguments.what == "import") return import_model(arguments, plan, *registry, io);
  return roll_back(arguments, plan, *registry, io);
}

}  // namespace

Run declare_models(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option("what", arguments->what,
                  "list; rollback: the version before the one that serves takes its place again; "
                  "import: brings in a model that was made elsewhere")
      ->required()
      ->check(CLI::IsMember({"list", "rollback", "import"}));
  add_file_argument(command, arguments->file);
  command.add_option("--model", arguments->model,
                     "the model; rollback and import need it when several have versions");
  command.add_option("--reason", arguments->reason, "of a rollback; kept with the version");
  command.add_option("--from", arguments->from,
                     "the folder to bring in: model.json (kind, inputs, outputs) and the model's "
                     "own files");
  command.add_flag("--swap", arguments->swap,
                   "what is brought in takes the place of the version that serves");
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
