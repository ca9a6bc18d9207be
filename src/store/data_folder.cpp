#include "store/data_folder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "base/files.h"
#include "store/internal/folder.h"

namespace qw::store {
namespace {

constexpr size_t kMostBytes = 1u << 16;

Error damaged(const std::string& path) {
  return {ErrorCode::kCorrupt, "the FORMAT file of the data folder is damaged", path, kMendDamage};
}

}  // namespace

Result<std::optional<FolderFacts>> read_facts(const std::string& folder) {
  const std::string path = folder + "/FORMAT";
  const auto text = read_file(path, kMostBytes);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return std::optional<FolderFacts>();
  QW_TRY(text);
  FolderFacts facts;
  if (std::sscanf(text->c_str(), "quickwater data %d\n", &facts.version) != 1 || facts.version < 1)
    return damaged(path);
  if (facts.version > kFormatVersion)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("the data folder has format {}, this program knows up to {}",
                             facts.version, kFormatVersion),
                 path, "start the newer Quickwater that wrote it, or use another data folder"};
  std::istringstream lines(*text);
  std::string line, word;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    words >> word;
    if (word == "id") {
      words >> facts.id;
    } else if (word == "has") {
      while (words >> word) {
        if (word != "database" && word != "registry") return damaged(path);
        (word == "database" ? facts.has_database : facts.has_registry) = true;
      }
    } else {
      return damaged(path);
    }
  }
  return std::optional(facts);
}

Result<void> write_facts(const std::string& folder, const FolderFacts& facts) {
  std::string text = fmt::format("quickwater data {}\n", facts.version);
  if (!facts.id.empty()) text += fmt::format("id {}\n", facts.id);
  if (facts.has_database || facts.has_registry)
    text += fmt::format("has{}{}\n", facts.has_database ? " database" : "",
                        facts.has_registry ? " registry" : "");
  return write_file_atomically(folder + "/FORMAT", text);
}

std::string lost_folder(const std::string& data_folder) { return data_folder + "/lost"; }

Result<std::string> set_aside(const std::string& data_folder, const std::string& path) {
  const std::string folder = lost_folder(data_folder);
  QW_TRY(make_folders(folder));
  const std::string name = std::filesystem::path(path).filename().string();
  std::string place = folder + "/" + name;
  for (int number = 1; std::filesystem::exists(std::filesystem::symlink_status(place)); ++number)
    place = fmt::format("{}/{}.{}", folder, name, number);
  if (std::rename(path.c_str(), place.c_str()) != 0)
    return internal::system_error("cannot move it away", path, errno);
  QW_TRY(internal::sync_folder(folder));
  return place;
}

}  // namespace qw::store
