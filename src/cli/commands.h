// The commands of the program `quickwater`. Adding one: a file with its function, its line below,
// and its line in kCommands (commands.cpp).
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}
namespace qw::app {
struct Plan;
}

namespace qw::cli {

// Where a command writes: results to `out`, trouble and progress to `err`.
struct Io {
  std::ostream& out;
  std::ostream& err;
};

// Does the work once the arguments are read; answers with an exit code (exit_codes.h).
using Run = std::function<int(Io)>;

// Adds its arguments to `command`, which outlives the answer.
Run declare_completion(CLI::App& command);
Run declare_doctor(CLI::App& command);
Run declare_heal(CLI::App& command);
Run declare_help(CLI::App& command);
Run declare_incident(CLI::App& command);
Run declare_log(CLI::App& command);
Run declare_models(CLI::App& command);
Run declare_new(CLI::App& command);
Run declare_parity(CLI::App& command);
Run declare_query(CLI::App& command);
Run declare_retrain(CLI::App& command);
Run declare_run(CLI::App& command);
Run declare_train(CLI::App& command);
Run declare_validate(CLI::App& command);
Run declare_version(CLI::App& command);

// One command: its name, one line of help, and how it declares itself.
struct Command {
  const char* name;
  const char* help;
  Run (*declare)(CLI::App&);
};
std::span<const Command> commands();

// The whole program: `arguments` without the program's name. Answers with the exit code.
int run(const std::vector<std::string>& arguments, Io io);

// For help, completion and the reference page.
// Calls `use` with a parser that knows every command.
void with_parser(const std::function<void(const CLI::App&)>& use);

// The application file that a command is given, read and compiled; problems go to `io.err`, each at
// its file:line:column. Null when one of them is an error: the answer is kBadAppFile.
std::shared_ptr<const app::Plan> load_or_say(const std::string& file, Io io);

// Declares the file as the command's (next) place, app.yaml when left out.
void add_file_argument(CLI::App& command, std::string& file);

// Says it on `io.err`; the answer is its exit code.
int say(Io io, const Error& error);

// The page docs/reference/cli.md, made from the parsers.
std::string cli_reference();

}  // namespace qw::cli
