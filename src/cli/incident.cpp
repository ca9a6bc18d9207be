// `quickwater incident`: one bounded load in this very process, so that whatever ends the process
// ends the load. An application starts it as its child (app/incident/incident.h).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "app/incident/load.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {

Run declare_incident(CLI::App& command) {
  const auto kind = std::make_shared<std::string>();
  const auto load = std::make_shared<app::IncidentLoad>();
  command
      .add_option("kind", *kind,
                  "cpu, memory or disk (a file without a name, in this folder); bounded, and over "
                  "at Ctrl-C")
      ->required()
      ->check(CLI::IsMember({"cpu", "memory", "disk"}));
  command
      .add_option("--seconds", load->seconds,
                  fmt::format("how long, {} to {}; {} when left out", app::kLoadSecondsMin,
                              app::kIncidentSecondsMax, load->seconds))
      ->check(CLI::Range(app::kLoadSecondsMin, app::kIncidentSecondsMax));
  // An empty group hides them: what the application tells its child.
  command.add_option("--folder", load->folder, "where the disk load writes")->group("");
  command.add_option("--with-parent", load->parent_pid, "end with this process")->group("");
  return [kind, load](Io io) {
    const auto parsed = app::parse_incident_kind(*kind);
    if (!parsed.ok()) return static_cast<int>(kUsage);
    load->kind = *parsed;
    const auto done = app::run_incident_load(*load, real_clock());
    if (done.ok()) return static_cast<int>(kOk);
    io.err << done.error().to_string() << '\n';
    return exit_code_of(done.error().code);
  };
}

}  // namespace qw::cli
