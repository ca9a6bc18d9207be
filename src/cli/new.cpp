#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/files.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/starter.h"
#include "schema/settings.h"

namespace qw::cli {
namespace {

namespace fs = std::filesystem;

// "My App/v2" -> "My-App-v2".
std::string app_name_of(const fs::path& folder) {
  fs::path last = folder.lexically_normal();
  if (last.filename().empty()) last = last.parent_path();
  std::string name = last.filename().string();
  for (char& c : name)
    if (!schema::check_name(std::string("a") + c, schema::SettingKind::kName).ok()) c = '-';
  const bool good = schema::check_name(name, schema::SettingKind::kName).ok();
  return good ? name : "my-app";
}

int write_starter(const fs::path& folder, Io io) {
  std::error_code error;
  const fs::path file = folder / "app.yaml";
  if (fs::exists(file, error)) {
    io.err << fmt::format(
        "quickwater new: {} is there already\n    choose another folder, or edit that file\n",
        file.string());
    return kFailed;
  }
  fs::create_directories(folder, error);
  if (error) {
    io.err << fmt::format("quickwater new: {} cannot be made: {}\n", folder.string(),
                          error.message());
    return kMachine;
  }
  const std::pair<fs::path, std::string> files[] = {{file, starter_app(app_name_of(folder))},
                                                    {folder / ".gitignore", "/data/\n"}};
  for (const auto& [path, text] : files) {
    if (fs::exists(path, error)) continue;
    const auto written = write_file_atomically(path.string(), text);
    if (!written.ok()) return say(io, written.error());
  }
  io.out << fmt::format("{}\nCheck it: quickwater validate {}\n", file.string(), file.string());
  return kOk;
}

}  // namespace

Run declare_new(CLI::App& command) {
  const auto folder = std::make_shared<std::string>();
  command.add_option("dir", *folder, "the folder to write app.yaml into; made when missing")
      ->required();
  return [folder](Io io) { return write_starter(*folder, io); };
}

}  // namespace qw::cli
