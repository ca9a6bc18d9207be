#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "schema/settings.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string topic;
  std::string key;
  std::string write;
};

int write_pages(const std::string& folder, Io io) {
  const std::pair<const char*, std::string> pages[] = {
      {"app-file.md", schema::app_file_reference()},
      {"cli.md", cli_reference()},
      {"exit-codes.md", exit_codes_reference()}};
  for (const auto& [name, text] : pages) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::ofstream stream(path, std::ios::binary);
    stream << text;
    stream.close();
    if (!stream) {
      io.err << fmt::format("{}: cannot be written\n", path.string());
      return kMachine;
    }
    io.out << path.string() << '\n';
  }
  return kOk;
}

int explain_key(const std::string& key, Io io) {
  const Result<std::string> text = schema::app_file_help(key);
  if (text.ok()) {
    io.out << *text;
    return kOk;
  }
  io.err << fmt::format("quickwater help: {}\n    {}\n", text.error().message,
                        text.error().how_to_mend);
  return kUsage;
}

int explain(const std::string& topic, Io io) {
  if (topic == "exit-codes") {
    for (const ExitCode& row : exit_codes())
      io.out << fmt::format("{:>3}  {:<13} {}\n", row.code, row.name, row.meaning);
    return kOk;
  }
  int code = kUsage;
  std::vector<std::string> topics = {"app-file", "exit-codes"};
  with_parser([&](const CLI::App& app) {
    if (topic.empty()) {
      io.out << app.help()
             << "\nMore: quickwater help COMMAND, quickwater help app-file [KEY], "
                "quickwater help exit-codes\n";
      code = kOk;
      return;
    }
    for (const Command& command : commands()) {
      topics.emplace_back(command.name);
      if (topic != command.name) continue;
      io.out << app.get_subcommand(topic)->help();
      code = kOk;
    }
  });
  if (code != kOk)
    io.err << fmt::format("quickwater help: there is no topic '{}'\n    {}\n", topic,
                          schema::suggestion(topic, topics));
  return code;
}

}  // namespace

Run declare_help(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("topic", arguments->topic, "a command, app-file, or exit-codes");
  command.add_option("key", arguments->key, "with app-file: a key, such as sources.kafka.brokers");
  command.add_option("--write", arguments->write,
                     "write the reference pages (app-file, cli, exit-codes) into this folder");
  return [arguments](Io io) {
    if (!arguments->write.empty()) return write_pages(arguments->write, io);
    if (arguments->topic == "app-file") return explain_key(arguments->key, io);
    return explain(arguments->topic, io);
  };
}

}  // namespace qw::cli
