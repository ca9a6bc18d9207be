// What commands share that are given an application file.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/runtime/load_plan.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {

void add_file_argument(CLI::App& command, std::string& file) {
  command.add_option("file", file, "the application file; app.yaml of this folder when left out");
}

std::shared_ptr<const app::Plan> load_or_say(const std::string& file, Io io) {
  const app::Loading loading = app::load_plan(file);
  for (const app::Problem& problem : loading.problems) io.err << app::to_text(problem, file);
  return loading.plan;
}

int say(Io io, const Error& error) {
  io.err << error.to_string() << '\n';
  return exit_code_of(error.code);
}

}  // namespace qw::cli
