#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "app/runtime/against.h"
#include "app/runtime/load_plan.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "models/registry.h"
#include "store/store.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string file = "app.yaml";
  bool json = false;
  bool without_secrets = false;
  std::string against;
};

// What the file makes of the data of an earlier one.
struct Against {
  std::vector<app::Finding> findings;
  std::optional<Error> trouble;  // the folder could not be read

  bool possible() const {
    return !trouble && std::ranges::none_of(findings, [](const app::Finding& finding) {
      return finding.fate == app::Fate::kImpossible;
    });
  }
};

Result<std::vector<app::Finding>> findings_of(const app::Plan& plan, const std::string& folder) {
  MetricRegistry metrics;
  store::StoreOptions options;
  options.folder = folder;
  options.read_only = true;
  auto store = store::Store::open(options, metrics);
  if (!store.ok()) {
    Error error = store.error();
    if (error.code == ErrorCode::kConflict)
      error.how_to_mend = "stop the application that runs on it, or give a copy of its folder";
    return error;
  }
  QW_ASSIGN(const auto registry, models::Registry::open(folder));
  return app::hold_against(plan, **store, *registry);
}

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

nlohmann::json json_of(const Against& against, const std::string& folder) {
  nlohmann::json findings = nlohmann::json::array();
  for (const app::Finding& finding : against.findings)
    findings.push_back({{"part", finding.part},
                        {"name", finding.name},
                        {"fate", app::name_of(finding.fate)},
                        {"detail", finding.detail},
                        {"how_to_mend", finding.how_to_mend},
                        {"records", finding.records},
                        {"lossy", finding.lossy}});
  nlohmann::json json = {
      {"folder", folder}, {"ok", against.possible()}, {"findings", std::move(findings)}};
  if (against.trouble)
    json["error"] = {{"message", against.trouble->message},
                     {"where", against.trouble->where},
                     {"how_to_mend", against.trouble->how_to_mend}};
  return json;
}

void write_text(const Against& against, const std::string& folder, Io io) {
  if (against.trouble) return;  // said as an error
  io.out << fmt::format("against {}:\n", folder);
  for (const app::Finding& finding : against.findings) {
    io.out << fmt::format("  {:<10} {} {}{}{}\n", app::name_of(finding.fate), finding.part,
                          finding.name, finding.detail.empty() ? "" : ": ", finding.detail);
    if (!finding.how_to_mend.empty())
      io.out << fmt::format("{:13}how to mend: {}\n", "", finding.how_to_mend);
  }
}

void write_json(const app::Loading& loading, const std::string& file,
                const std::optional<Against>& against, const std::string& folder, Io io) {
  nlohmann::json problems = nlohmann::json::array();
  for (const app::Problem& problem : loading.problems) problems.push_back(json_of(problem));
  nlohmann::json all = {{"file", file},
                        {"ok", loading.plan != nullptr && (!against || against->possible())},
                        {"errors", loading.errors},
                        {"problems", std::move(problems)}};
  if (against) all["against"] = json_of(*against, folder);
  io.out << all.dump(2) << '\n';
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
  command.add_option("--against", arguments->against,
                     "a data folder of an earlier file: says what a start would keep of it, make "
                     "anew from its log, or refuse; the application must not run on it");
  return [arguments](Io io) {
    app::ReadOptions options;
    options.resolve = !arguments->without_secrets;
    const app::Loading loading = app::load_plan(arguments->file, options);
    std::optional<Against> against;
    if (loading.plan != nullptr && !arguments->against.empty()) {
      against.emplace();
      auto found = findings_of(*loading.plan, arguments->against);
      if (found.ok())
        against->findings = std::move(found).value();
      else
        against->trouble = found.error();
    }
    if (arguments->json)
      write_json(loading, arguments->file, against, arguments->against, io);
    else
      write_text(loading, arguments->file, io);
    if (against && !arguments->json) write_text(*against, arguments->against, io);
    if (loading.plan == nullptr) return kBadAppFile;
    if (against && against->trouble) return say(io, *against->trouble);
    return !against || against->possible() ? kOk : kFailed;
  };
}

}  // namespace qw::cli
