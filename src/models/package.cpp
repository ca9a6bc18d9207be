#include "models/package.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace qw::models {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
constexpr int kFormat = 1;
constexpr const char* kMend =
    "restore the package's folder from a copy, train the model again (`quickwater train`), or put "
    "the version before back (`quickwater models rollback`)";

Result<json> parse_object(const std::string& text, const std::string& where) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return Error{ErrorCode::kCorrupt, "not a JSON object", where, kMend};
  return parsed;
}

Result<json> manifest_of(const Package& package) {
  json manifest = {{"format", kFormat},
                   {"model", package.model},
                   {"version", package.version},
                   {"kind", package.kind},
                   {"created_us", package.created_us},
                   {"content_sha256", content_digest(package)},
                   {"files",
                    {{"settings.json", sha256_hex(package.settings)},
                     {"profile.json", sha256_hex(package.profile)}}}};
  QW_ASSIGN(manifest["inputs"], parse_object(package.inputs, "inputs"));
  QW_ASSIGN(manifest["metrics"], parse_object(package.metrics, "metrics"));
  QW_ASSIGN(manifest["lineage"], parse_object(package.lineage, "lineage"));
  return manifest;
}

Error corrupt(const std::string& path, std::string_view what) {
  return {ErrorCode::kCorrupt, std::string(what), path, kMend};
}

// A package is whole or absent.
Result<std::string> read_part(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes.ok() && bytes.error().code == ErrorCode::kNotFound)
    return corrupt(path, "a file of the model's package is missing");
  return bytes;
}

Result<std::string> read_checked(const fs::path& folder, const json& files, const char* name) {
  const fs::path path = folder / name;
  QW_ASSIGN(std::string bytes, read_part(path.string()));
  if (!files.contains(name) || files[name] != sha256_hex(bytes))
    return corrupt(path.string(), "the file differs from the digest in manifest.json");
  return bytes;
}

}  // namespace

std::string content_digest(const Package& package) {
  std::string all;
  for (const std::string* part :
       {&package.model, &package.kind, &package.settings, &package.inputs, &package.profile})
    all += fmt::format("{}:{};", part->size(), *part);
  return sha256_hex(all);
}

Result<void> write_package(const std::string& folder, const Package& package) {
  std::error_code ignored;
  if (fs::exists(folder, ignored))
    return Error{ErrorCode::kConflict, "a package exists there already", folder,
                 "packages are never changed; publish a new version"};
  QW_ASSIGN(const json manifest, manifest_of(package));
  const std::string temporary = folder + ".tmp";
  fs::remove_all(temporary, ignored);
  QW_TRY(make_folders(temporary));
  QW_TRY(write_file_atomically(temporary + "/settings.json", package.settings));
  QW_TRY(write_file_atomically(temporary + "/profile.json", package.profile));
  QW_TRY(write_file_atomically(temporary + "/manifest.json", manifest.dump(2)));
  std::error_code error;
  fs::rename(temporary, folder, error);
  if (error)
    return Error{ErrorCode::kIo, fmt::format("cannot rename: {}", error.message()), folder, ""};
  return sync_folder(fs::path(folder).parent_path().string());
}

Result<Package> read_package(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  if (std::error_code failed; !fs::exists(folder, failed))
    return Error{ErrorCode::kNotFound, "the folder of the model's package is missing", folder,
                 kMend};
  QW_ASSIGN(const std::string text, read_part(path));
  QW_ASSIGN(const json manifest, parse_object(text, path));
  const auto field = [&](const char* name, auto otherwise) {
    return manifest.value(name, otherwise);
  };
  try {
    if (field("format", 0) > kFormat)
      return Error{ErrorCode::kUnsupported, "the package was written by a newer Quickwater", path,
                   "start the newer version"};
    Package package;
    package.model = field("model", std::string());
    package.version = field("version", int64_t{0});
    package.kind = field("kind", std::string());
    package.created_us = field("created_us", int64_t{0});
    package.inputs = manifest.at("inputs").dump();
    package.metrics = manifest.at("metrics").dump();
    package.lineage = manifest.at("lineage").dump();
    QW_ASSIGN(package.settings, read_checked(folder, manifest.at("files"), "settings.json"));
    QW_ASSIGN(package.profile, read_checked(folder, manifest.at("files"), "profile.json"));
    if (manifest.at("content_sha256") != content_digest(package))
      return corrupt(path, "the manifest differs from its own digest");
    return package;
  } catch (const json::exception& problem) {
    return corrupt(path, problem.what());
  }
}

}  // namespace qw::models
