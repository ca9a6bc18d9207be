// `quickwater heal reset`: lets a healing action act again that stopped after failures in a row.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string what;
  std::string name;
  std::string url;
  std::string data = "data";
};

int reset(const Arguments& arguments, Io io) {
  const auto url = address_of(arguments.url, arguments.data, "heal",
                              "name its folder with --data, or start it first");
  if (!url.ok()) return say(io, url.error());
  const auto answer = ask_running(*url, fmt::format("/v1/heals/{}/reset", arguments.name), "{}");
  if (!answer.ok()) return say(io, answer.error());
  io.out << fmt::format("'{}' acts again, from the next alert on\n", arguments.name);
  return kOk;
}

}  // namespace

Run declare_heal(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("what", arguments->what, "reset")->required()->check(CLI::IsMember({"reset"}));
  command.add_option("name", arguments->name, "the healing action's name in the file")->required();
  command.add_option("--url", arguments->url,
                     "the running application to ask, as http://127.0.0.1:8765");
  command.add_option("--data", arguments->data,
                     "its data folder, where its address is found; data when left out");
  return [arguments](Io io) { return reset(*arguments, io); };
}

}  // namespace qw::cli
