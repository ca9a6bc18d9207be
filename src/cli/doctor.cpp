// `quickwater doctor`: examines a data folder and says what is whole, damaged or missing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/doctor/doctor.h"
#include "app/runtime/plan.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string file = "app.yaml";
  std::string data;
  bool json = false;
};

int doctor(const Arguments& arguments, const std::string& folder, Io io) {
  const auto examined = app::examine_data(folder);
  if (!examined.ok()) return say(io, examined.error());
  size_t bad = 0, unread = 0;
  bool skipped = false;
  auto all = nlohmann::json::array();
  for (const app::Finding& found : *examined) {
    const bool damage =
        found.health == app::Health::kDamaged || found.health == app::Health::kMissing;
    bad += damage ? 1 : 0;
    unread += found.health == app::Health::kUnread ? 1 : 0;
    skipped = skipped || (found.health == app::Health::kNote && found.part == "database");
    all.push_back({{"health", app::name_of(found.health)},
                   {"part", found.part},
                   {"detail", found.detail},
                   {"how_to_mend", found.mend}});
    if (arguments.json) continue;
    io.out << fmt::format("{:<8} {}: {}\n", app::name_of(found.health), found.part, found.detail);
    if (!found.mend.empty()) io.out << "         how to mend: " << found.mend << '\n';
  }
  if (arguments.json)
    io.out << all.dump(2) << '\n';
  else
    io.out << (bad > 0      ? fmt::format("{} damaged or missing\n", bad)
               : unread > 0 ? fmt::format("{} could not be read\n", unread)
               : skipped    ? "nothing that was examined is damaged\n"
                            : "nothing is damaged\n");
  return bad > 0 ? kDamaged : unread > 0 ? kMachine : kOk;
}

}  // namespace

Run declare_doctor(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_file_argument(command, arguments->file);
  command.add_option("--data", arguments->data,
                     "the data folder; the application file is not read then");
  command.add_flag("--json", arguments->json, "the findings as JSON");
  return [arguments](Io io) {
    if (!arguments->data.empty()) return doctor(*arguments, arguments->data, io);
    const auto plan = load_or_say(arguments->file, io);
    return plan == nullptr ? kBadAppFile
                           : doctor(*arguments, plan->file.resolve(plan->file.data), io);
  };
}

}  // namespace qw::cli
