#include "models/publish.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/engines/builtin.h"
#include "schema/settings.h"

namespace qw::models {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
constexpr const char* kDescription = "model.json";
constexpr size_t kDescriptionBytesMax = size_t{16} << 20;

Error bad(std::string what, const std::string& where, std::string how_to_mend) {
  return {ErrorCode::kBadInput, std::move(what), where, std::move(how_to_mend)};
}

Result<schema::Schema> fields_of(const json& whole, const char* key, const std::string& where) {
  constexpr const char* kMend = R"(write [{"name": "amount", "type": "double"}, ...])";
  const json list = whole.value(key, json());
  if (!list.is_array()) return bad(fmt::format("'{}' is not a list", key), where, kMend);
  std::vector<schema::Field> fields;
  for (const json& one : list) {
    if (!one.is_object() || !one.value("name", json()).is_string() ||
        !one.value("type", json()).is_string())
      return bad(fmt::format("'{}' holds {}", key, one.dump()), where, kMend);
    const std::string name = one["name"], text = one["type"];
    const auto type = schema::parse_type(text);
    if (!type.ok())
      return bad(fmt::format("the type of '{}' in '{}': {}", name, key, type.error().message),
                 where, type.error().how_to_mend);
    fields.push_back({name, *type});
  }
  return schema::Schema(std::move(fields));
}

Result<Package> described(const std::string& path) {
  QW_ASSIGN(const std::string text, read_file(path, kDescriptionBytesMax));
  const json whole = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!whole.is_object()) return bad("not a JSON object", path, "write {...}");
  const std::vector<std::string> known = {"kind",    "settings", "inputs", "outputs",
                                          "metrics", "lineage",  "profile"};
  for (const auto& [key, value] : whole.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return bad(fmt::format("there is no key '{}'", key), path, schema::suggestion(key, known));
  Package package;
  const json kind = whole.value("kind", json());
  if (!kind.is_string()) return bad("'kind' is missing or not a text", path, "write \"linear\"");
  package.kind = kind;
  QW_ASSIGN(package.inputs, fields_of(whole, "inputs", path));
  QW_ASSIGN(package.outputs, fields_of(whole, "outputs", path));
  const std::pair<const char*, std::string*> texts[] = {{"settings", &package.settings},
                                                        {"metrics", &package.metrics},
                                                        {"lineage", &package.lineage},
                                                        {"profile", &package.profile}};
  for (const auto& [key, into] : texts) {
    const json object = whole.value(key, json::object());
    if (!object.is_object())
      return bad(fmt::format("'{}' is not a JSON object", key), path, "write {...}");
    *into = object.dump();
  }
  return package;
}

Result<std::vector<Artefact>> artefacts_in(const std::string& folder) {
  std::vector<fs::path> paths;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed))
    if (entry.path().filename() != kDescription) paths.push_back(entry.path());
  if (failed) return Error{ErrorCode::kIo, failed.message(), folder, "check its permissions"};
  if (paths.size() > kArtefactsMax)
    return bad(fmt::format("{} files, at most {}", paths.size(), kArtefactsMax), folder,
               "leave there what the model needs alone");
  std::sort(paths.begin(), paths.end());
  std::vector<Artefact> artefacts;
  for (const fs::path& path : paths) {
    QW_ASSIGN(Artefact artefact, Artefact::map(path.filename().string(), path.string()));
    artefacts.push_back(std::move(artefact));
  }
  return artefacts;
}

}  // namespace

Result<VersionInfo> publish_package(Registry& registry, Package package, int64_t parent,
                                    const std::string& refusal) {
  package.format = kPackageFormat;
  QW_ASSIGN(package.version, registry.reserve_version(package.model));
  VersionInfo info;
  info.model = package.model;
  info.version = package.version;
  info.state = refusal.empty() ? VersionState::kPublished : VersionState::kRefused;
  info.reason = refusal;
  info.folder = fmt::format("models/{}/{}", package.model, package.version);
  info.digest = content_digest(package);
  info.parent = parent;
  info.published_us = package.created_us;
  info.metrics = package.metrics;
  info.lineage = package.lineage;
  QW_TRY(write_package(registry.folder() + "/" + info.folder, package));
  QW_TRY(registry.publish(info));
  return info;
}

Result<Package> describe_import(const std::string& model, const std::string& folder) {
  QW_TRY(schema::check_name(model, schema::SettingKind::kName));
  QW_ASSIGN(Package package, described(folder + "/" + kDescription));
  package.model = model;
  QW_ASSIGN(package.artefacts, artefacts_in(folder));
  QW_TRY(check_package(package));
  return package;
}

Result<VersionInfo> import_package(Registry& registry, const std::string& model,
                                   const std::string& folder, int64_t at_us,
                                   std::optional<int64_t> replaces) {
  QW_ASSIGN(Package package, describe_import(model, folder));
  package.created_us = at_us;
  json lineage = json::parse(package.lineage);
  lineage["trigger"] = "import";
  lineage["then"] = replaces ? "swap" : "publish";
  package.lineage = lineage.dump();
  QW_TRY(make_engine(package));
  return publish_package(registry, std::move(package), replaces.value_or(0), "");
}

}  // namespace qw::models
