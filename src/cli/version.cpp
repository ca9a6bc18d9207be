#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {

Run declare_version(CLI::App& command) {
  const auto json = std::make_shared<bool>(false);
  command.add_flag("--json", *json, "one JSON object");
  return [json](Io io) {
    if (*json)
      io.out << nlohmann::json{{"name", "quickwater"}, {"version", QUICKWATER_VERSION}} << '\n';
    else
      io.out << "quickwater " QUICKWATER_VERSION "\n";
    return kOk;
  };
}

}  // namespace qw::cli
