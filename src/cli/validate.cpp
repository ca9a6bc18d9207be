#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/config/read.h"
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

void write_json(const app::Reading& reading, const std::string& file, Io io) {
  nlohmann::json problems = nlohmann::json::array();
  for (const app::Problem& problem : reading.problems) problems.push_back(json_of(problem));
  io.out << nlohmann::json{{"file", file},
                           {"ok", reading.app.has_value()},
                           {"errors", reading.errors},
                           {"problems", std::move(problems)}}
                .dump(2)
         << '\n';
}

void write_text(const app::Reading& reading, const std::string& file, Io io) {
  for (const app::Problem& problem : reading.problems) io.err << app::to_text(problem, file);
  if (!reading.app.has_value()) {
    io.err << fmt::format("{} error{} in {}", reading.errors, reading.errors == 1 ? "" : "s", file);
    if (reading.errors > reading.problems.size())
      io.err << fmt::format("; the first {} are shown", reading.problems.size());
    io.err << '\n';
    return;
  }
  const app::AppFile& app = *reading.app;
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
  command.add_option("file", arguments->file,
                     "the application file; app.yaml of this folder when left out");
  command.add_flag("--json", arguments->json, "one JSON object with every problem");
  command.add_flag("--without-secrets", arguments->without_secrets,
                   "do not look up ${VAR} and file:PATH, only check how they are written");
  return [arguments](Io io) {
    app::ReadOptions options;
    options.resolve = !arguments->without_secrets;
    const app::Reading reading = app::read_app_file(arguments->file, options);
    if (arguments->json)
      write_json(reading, arguments->file, io);
    else
      write_text(reading, arguments->file, io);
    return reading.app.has_value() ? kOk : kBadAppFile;
  };
}

}  // namespace qw::cli
