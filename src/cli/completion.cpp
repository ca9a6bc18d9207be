#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

// Command -> its options, as one line of words.
std::map<std::string, std::string> options_by_command() {
  std::map<std::string, std::string> options;
  with_parser([&options](const CLI::App& app) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
      for (const CLI::Option* option : command->get_options()) {
        if (option->get_group().empty()) continue;  // hidden
        for (const std::string& name : option->get_lnames())
          options[command->get_name()] += " --" + name;
      }
  });
  options["help"] += " app-file exit-codes";
  for (const Command& command : commands()) options["help"] += fmt::format(" {}", command.name);
  options["completion"] += " bash zsh";
  options["incident"] += " cpu memory disk";
  return options;
}

std::string bash_script() {
  std::string names;
  std::string cases;
  for (const auto& [name, words] : options_by_command()) {
    names += " " + name;
    cases += fmt::format("    {}) words=\"{}\" ;;\n", name, words.substr(1));
  }
  return fmt::format(
      R"(# quickwater: completion for bash. Use: source <(quickwater completion bash)
_quickwater() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "{}" -- "$word")
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"; compgen -f -- "$word")
}}
complete -o filenames -F _quickwater quickwater
)",
      names.substr(1), cases);
}

std::string zsh_script() {
  std::string names;
  std::string cases;
  for (const Command& command : commands())
    names += fmt::format("    '{}:{}'\n", command.name, command.help);
  for (const auto& [name, words] : options_by_command())
    cases += fmt::format("    {}) compadd -- {} ;;\n", name, words.substr(1));
  return fmt::format(R"(#compdef quickwater
# quickwater: completion for zsh. Use: source <(quickwater completion zsh)
_quickwater() {{
  local -a commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
{}  esac
  _files
}}
compdef _quickwater quickwater
)",
                     names, cases);
}

}  // namespace

Run declare_completion(CLI::App& command) {
  const auto shell = std::make_shared<std::string>();
  command.add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  return [shell](Io io) {
    io.out << (*shell == "bash" ? bash_script() : zsh_script());
    return kOk;
  };
}

}  // namespace qw::cli
