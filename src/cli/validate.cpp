#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/runtime/load_plan.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string file = "app.yaml";
  bool json = false;
  bool without_secrets = false;
};

nlohmann::json json_of(const app::Problem& problem) {
  nlohmann::json place = {{"severity", app::name_of(problem.gravity)},
                          {"code", problem.code},
                          {"message", problem.message},
                          {"how_to_mend", problem.how_to_mend}};
  const bool known = problem.place.line > 0;
  place["line"] = known ? nlohmann::json(problem.place.line) : nlohmann::json();
  place["column"] = known ? nlohmann::json(problem.place.column) : nlohmann::json();
  return place;
}

void write_json(const app::Loading& loading, const std::string& file, Io io) {
  nlohmann::json problems = nlohmann::json::array();
  for (const app::Problem& problem : loading.problems) problems.push_back(json_of(problem));
  io.out << nlohmann::json{{"file", file},
                           {"ok", loading.plan != nullptr},
                           {"errors", loading.errors},
                           {"problems", std::move(problems)}}
                .dump(2)
         << '\n';
}

void write_text(const app::Loading& loading, const std::string& file, Io io) {
  for (const app::Problem& problem : loading.problems) io.err << app::to_text(problem, file);
  if (loading.plan == nullptr) {
    io.err << fmt::format("{} error{} in {}", loading.errors, loading.errors == 1 ? "" : "s", file);
    if (loading.errors > loading.problems.size())
      io.err << fmt::format("; the first {} are shown", loading.problems.size());
    io.err << '\n';
    return;
  }
  const app::AppFile& app = loading.plan->file;
  const auto counted = [](size_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  io.out << fmt::format(
      "{}: {} is good: {}, {}, {}, {}\n", file, app.app.text, counted(app.sources.size(), "source"),
      counted(app.views.size() + app.derives.size(), "feature group"),
      counted(app.models.size(), "model"), counted(app.decisions.size(), "decision"));
}

}  // namespace

Run declare_validate(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_file_argument(command, arguments->file);
  command.add_flag("--json", arguments->json, "one JSON object with every problem");
  command.add_flag("--without-secrets", arguments->without_secrets,
                   "do not look up ${VAR} and file:PATH, only check how they are written");
  return [arguments](Io io) {
    app::ReadOptions options;
    options.resolve = !arguments->without_secrets;
    const app::Loading loading = app::load_plan(arguments->file, options);
    if (arguments->json)
      write_json(loading, arguments->file, io);
    else
      write_text(loading, arguments->file, io);
    return loading.plan != nullptr ? kOk : kBadAppFile;
  };
}

}  // namespace qw::cli
