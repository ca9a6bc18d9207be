#include "cli/commands.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>
#include <ostream>

#include "base/guard.h"
#include "cli/exit_codes.h"
#include "schema/settings.h"

namespace qw::cli {
namespace {

constexpr Command kCommands[] = {
    {"completion", "print a completion script for a shell", declare_completion},
    {"doctor", "examine a data folder: what is whole, damaged or missing", declare_doctor},
    {"heal", "let a healing action act again that stopped after failures", declare_heal},
    {"help", "explain a command or a key of the application file", declare_help},
    {"incident", "put a harmless load on this machine for some seconds", declare_incident},
    {"log", "print the decisions, journal or dead letters of a stopped application", declare_log},
    {"models", "list the versions of the models, or put the one before back", declare_models},
    {"new", "write a commented starter application", declare_new},
    {"parity", "measure whether every executor computes the same features", declare_parity},
    {"query", "ask what an application remembers, in SQL, also while it runs", declare_query},
    {"retrain", "ask a running application to train a new version", declare_retrain},
    {"run", "run an application", declare_run},
    {"train", "search better settings for a model and publish them as a new version",
     declare_train},
    {"validate", "check an application file", declare_validate},
    {"version", "print the version", declare_version},
};

constexpr char kAbout[] =
    "Quickwater: event in, features, model, decision out, monitor, retrain.\n"
    "One YAML file describes an application; begin with `quickwater new DIR`.";

// The parser and, by name, what runs each command.
struct Parsers {
  CLI::App app{kAbout, "quickwater"};
  std::map<std::string, Run> runs;

  Parsers() {
    app.require_subcommand(0, 1);
    app.set_help_flag("-h,--help", "explain, and exit");
    for (const Command& command : kCommands) {
      CLI::App* const sub = app.add_subcommand(command.name, command.help);
      runs[command.name] = command.declare(*sub);
    }
  }
};

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : kCommands) names.emplace_back(command.name);
  return names;
}

int usage(Io io, const std::string& message, const std::string& how_to_mend) {
  io.err << "quickwater: " << message << '\n';
  if (!how_to_mend.empty()) io.err << "    " << how_to_mend << '\n';
  return kUsage;
}

int parse_and_run(const std::vector<std::string>& arguments, Io io) {
  Parsers parsers;
  if (arguments.empty()) {
    io.err << parsers.app.help();
    return kUsage;
  }
  const std::vector<std::string> names = command_names();
  const std::string& first = arguments[0];
  if (!first.starts_with('-') && std::find(names.begin(), names.end(), first) == names.end())
    return usage(io, fmt::format("there is no command '{}'", first),
                 schema::suggestion(first, names));
  try {
    // CLI11 takes them last first.
    parsers.app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    const auto chosen = parsers.app.get_subcommands();
    io.out << (chosen.empty() ? parsers.app.help() : chosen[0]->help());
    return kOk;
  } catch (const CLI::ParseError& error) {
    return usage(io, error.what(), fmt::format("`quickwater {} --help` explains", first));
  }
  const auto chosen = parsers.app.get_subcommands();
  if (chosen.empty()) return usage(io, "which command?", "`quickwater help` lists them");
  return parsers.runs.at(chosen[0]->get_name())(io);
}

// An answer that standard output did not take (a full disk) is not given, unless its reader went
// because it has enough.
int told(int code, Io io) {
  io.out.flush();
  if (io.out) return code;
  pollfd reader{STDOUT_FILENO, 0, 0};
  if (::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0) return code;
  io.err << "quickwater: standard output takes no more: the answer is not whole\n"
            "    free some disk space where it goes to\n";
  return code == kOk ? kMachine : code;
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

int run(const std::vector<std::string>& arguments, Io io) {
  const auto ran = guarded("quickwater", [&] { return parse_and_run(arguments, io); });
  if (ran.ok()) return told(*ran, io);
  const int code = exit_code_of(ran.error().code);
  io.err << "quickwater: " << (code == kBug ? "a mistake in Quickwater itself: " : "")
         << ran.error().message << '\n';
  if (!ran.error().how_to_mend.empty()) io.err << "    " << ran.error().how_to_mend << '\n';
  return code;
}

void with_parser(const std::function<void(const CLI::App&)>& use) {
  const Parsers parsers;
  use(parsers.app);
}

std::string cli_reference() {
  std::string out =
      "# The command line\n\n"
      "`quickwater COMMAND [ARGUMENTS]`. Results go to standard output, trouble to standard "
      "error;\n"
      "`--json` gives machine-readable output; [exit codes](exit-codes.md) are the same "
      "everywhere.\n"
      "Made from the commands themselves by `quickwater help --write docs/reference`.\n";
  with_parser([&out](const CLI::App& app) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      out += fmt::format("\n## `quickwater {}`\n\n", command->get_name());
      std::string text = command->get_description();
      text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
      out += text + ".\n\n| argument | meaning |\n|---|---|\n";
      for (const CLI::Option* option : command->get_options()) {
        if (option->get_group().empty()) continue;  // hidden: between our own processes
        std::string name = option->get_name(true, true);
        // A name like "--json" stands alone; a place is written FILE.
        if (option->get_positional() && option->get_lnames().empty())
          for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        out += fmt::format("| `{}` | {} |\n", name, option->get_description());
      }
    }
  });
  return out;
}

}  // namespace qw::cli
