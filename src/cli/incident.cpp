// `quickwater incident`: asks the running application for an incident; where none runs, it is one
// bounded load in this very process, so that whatever ends the process ends the load. The
// application starts its own loads that way too (app/incident/incident.h).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/incident/load.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string kind;
  std::string url;
  std::string data = "data";
  app::IncidentLoad load;
};

Result<std::string> ask(const std::string& url, const Arguments& arguments) {
  const nlohmann::json wish = {{"kind", arguments.kind}, {"seconds", arguments.load.seconds}};
  QW_ASSIGN(const auto begun, ask_running(url, "/v1/demo/incident", wish.dump()));
  return begun.value("id", std::string());
}

int run_alone(const Arguments& arguments, Io io) {
  const auto done = app::run_incident_load(arguments.load, real_clock());
  if (done.ok()) return kOk;
  io.err << done.error().to_string() << '\n';
  return exit_code_of(done.error().code);
}

int run_incident(Arguments& arguments, Io io) {
  const auto kind = app::parse_incident_kind(arguments.kind);
  if (!kind.ok()) return kUsage;
  arguments.load.kind = *kind;
  if (arguments.load.parent_pid != 0) return run_alone(arguments, io);
  const bool given = !arguments.url.empty();
  const std::string url = given ? arguments.url : running_at(arguments.data);
  if (!url.empty()) {
    const auto id = ask(url, arguments);
    if (id.ok()) {
      io.out << fmt::format("asked {}: {} of {} s runs there as {}\n", url, arguments.kind,
                            arguments.load.seconds, *id);
      return kOk;
    }
    if (given || id.error().code != ErrorCode::kUnavailable) {
      io.err << id.error().to_string() << '\n';
      return exit_code_of(id.error().code);
    }
  }
  io.out << fmt::format("no application runs on '{}': {} s of {} in this process\n", arguments.data,
                        arguments.load.seconds, arguments.kind)
         << std::flush;
  return run_alone(arguments, io);
}

}  // namespace

Run declare_incident(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  app::IncidentLoad& load = arguments->load;
  command
      .add_option("kind", arguments->kind,
                  "cpu, memory or disk (a file without a name, in this folder); bounded, and over "
                  "at Ctrl-C")
      ->required()
      ->check(CLI::IsMember({"cpu", "memory", "disk"}));
  command
      .add_option("--seconds", load.seconds,
                  fmt::format("how long, {} to {} (a running application: from {}); {} when left "
                              "out",
                              app::kLoadSecondsMin, app::kIncidentSecondsMax,
                              app::kIncidentSecondsMin, load.seconds))
      ->check(CLI::Range(app::kLoadSecondsMin, app::kIncidentSecondsMax));
  command.add_option("--url", arguments->url,
                     "the running application to ask, as http://127.0.0.1:8765");
  command.add_option("--data", arguments->data,
                     "its data folder, where its address is found; data when left out. Where no "
                     "application runs, the load runs in this process");
  // An empty group hides them: what the application tells its child.
  command.add_option("--folder", load.folder, "where the disk load writes")->group("");
  command.add_option("--with-parent", load.parent_pid, "end with this process")->group("");
  return [arguments](Io io) { return run_incident(*arguments, io); };
}

}  // namespace qw::cli
