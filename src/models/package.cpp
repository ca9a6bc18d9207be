#include "models/package.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"

namespace qw::models {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kSeal = "manifest.json.sha256";
constexpr const char* kSettings = "settings.json";
constexpr const char* kProfile = "profile.json";
constexpr size_t kNameMax = 128;         // of a file
constexpr size_t kFieldNameMax = 1'024;  // of an input or output
constexpr size_t kManifestBytesMax = size_t{16} << 20;
constexpr const char* kMend =
    "restore the package's folder from a copy, train the model again (`quickwater train`), or put "
    "the version before back (`quickwater models rollback`)";

Error corrupt(const std::string& path, std::string_view what) {
  return {ErrorCode::kCorrupt, std::string(what), path, kMend};
}

Error bad(std::string what, std::string how_to_mend) {
  return {ErrorCode::kBadInput, std::move(what), "package", std::move(how_to_mend)};
}

Result<json> parse_object(const std::string& text, const std::string& where) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return corrupt(where, "not a JSON object");
  return parsed;
}

// A name that is one file in the package's own folder, and none of ours.
Result<void> check_file_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.empty() || name.size() > kNameMax || name[0] == '.' ||
      !std::all_of(name.begin(), name.end(), fits))
    return bad(fmt::format("'{}' cannot be the name of a package's file", name),
               fmt::format("letters, digits, _, - and . without folders, not beginning with a "
                           "point; at most {} characters",
                           kNameMax));
  for (const char* ours : {kManifest, kSeal, kSettings, kProfile})
    if (name == ours)
      return bad(fmt::format("'{}' is a name of the package's own", name), "choose another name");
  return {};
}

Result<void> check_fields(const schema::Schema& fields, std::string_view what, size_t most) {
  if (fields.size() > most)
    return bad(fmt::format("{} {}s, at most {}", fields.size(), what, most), "declare fewer");
  std::set<std::string_view> seen;
  for (const schema::Field& field : fields.fields()) {
    if (field.name.empty() || field.name.size() > kFieldNameMax)
      return bad(fmt::format("'{}' cannot be the name of an {}", field.name, what),
                 fmt::format("1 to {} characters", kFieldNameMax));
    if (!seen.insert(field.name).second)
      return bad(fmt::format("the {} '{}' comes twice", what, field.name), "name each once");
  }
  return {};
}

json json_of(const schema::Schema& fields) {
  json list = json::array();
  for (const schema::Field& field : fields.fields())
    list.push_back({{"name", field.name}, {"type", field.type.to_string()}});
  return list;
}

Result<schema::Field> field_of(const std::string& name, const std::string& type,
                               const std::string& path) {
  const auto parsed = schema::parse_type(type);
  if (!parsed.ok()) return corrupt(path, fmt::format("'{}': {}", name, parsed.error().message));
  return schema::Field{name, *parsed};
}

Result<schema::Schema> fields_of(const json& list, const std::string& path) {
  std::vector<schema::Field> fields;
  for (const json& one : list) {
    QW_ASSIGN(schema::Field field, field_of(one.at("name"), one.at("type"), path));
    fields.push_back(std::move(field));
  }
  return schema::Schema(std::move(fields));
}

json file_entry(const std::string& name, std::string_view bytes, const std::string& sha256) {
  return {{"name", name}, {"bytes", bytes.size()}, {"sha256", sha256}};
}

Result<json> manifest_of(const Package& package) {
  json manifest = {{"format", kPackageFormat},           {"model", package.model},
                   {"version", package.version},         {"kind", package.kind},
                   {"created_us", package.created_us},   {"inputs", json_of(package.inputs)},
                   {"outputs", json_of(package.outputs)}};
  QW_ASSIGN(manifest["metrics"], parse_object(package.metrics, "metrics"));
  QW_ASSIGN(manifest["lineage"], parse_object(package.lineage, "lineage"));
  json& files = manifest["files"];
  files.push_back(file_entry(kSettings, package.settings, sha256_hex(package.settings)));
  files.push_back(file_entry(kProfile, package.profile, sha256_hex(package.profile)));
  for (const Artefact& artefact : package.artefacts)
    files.push_back(file_entry(artefact.name(), artefact.bytes(), artefact.sha256()));
  return manifest;
}

std::string seal_of(std::string_view manifest) {
  return fmt::format("{}  {}\n", sha256_hex(manifest), kManifest);
}

// A package is whole or absent.
template <class T>
Result<T> as_part(Result<T> part, const std::string& path) {
  if (part.ok()) return part;
  switch (part.error().code) {
    case ErrorCode::kNotFound: return corrupt(path, "a file of the model's package is missing");
    case ErrorCode::kBadInput: return corrupt(path, part.error().message);
    default: return part;
  }
}

Result<std::string> read_part(const std::string& path) {
  return as_part(read_file(path, kManifestBytesMax), path);
}

// Format 1 had two files.
Result<std::string> read_checked(const fs::path& folder, const json& files, const char* name) {
  const std::string path = folder / name;
  QW_ASSIGN(std::string bytes, as_part(read_file(path), path));
  if (!files.contains(name) || files[name] != sha256_hex(bytes))
    return corrupt(path, "the file differs from the digest in manifest.json");
  return bytes;
}

Result<void> read_format_1(const fs::path& folder, const json& manifest, Package& package) {
  const std::string path = folder / kManifest;
  std::vector<schema::Field> inputs;
  for (const auto& [name, type] : manifest.at("inputs").items()) {
    QW_ASSIGN(schema::Field field, field_of(name, type, path));
    inputs.push_back(std::move(field));
  }
  package.inputs = schema::Schema(std::move(inputs));
  QW_ASSIGN(package.settings, read_checked(folder, manifest.at("files"), kSettings));
  QW_ASSIGN(package.profile, read_checked(folder, manifest.at("files"), kProfile));
  if (manifest.at("content_sha256") != content_digest(package))
    return corrupt(path, "the manifest differs from its own digest");
  return {};
}

struct Listed {
  size_t bytes = 0;
  std::string sha256;
};

Result<std::map<std::string, Listed>> listed_files(const json& files, const std::string& path) {
  constexpr size_t kOwnFiles = 2;
  if (files.size() > kArtefactsMax + kOwnFiles)
    return corrupt(path,
                   fmt::format("{} files, at most {}", files.size(), kArtefactsMax + kOwnFiles));
  std::map<std::string, Listed> listed;
  for (const json& file : files) {
    const std::string name = file.at("name");
    if (name != kSettings && name != kProfile)
      if (const auto fits = check_file_name(name); !fits.ok())
        return corrupt(path, fits.error().message);
    if (!listed.emplace(name, Listed{file.at("bytes"), file.at("sha256")}).second)
      return corrupt(path, fmt::format("the file '{}' is listed twice", name));
  }
  for (const char* needed : {kSettings, kProfile})
    if (!listed.contains(needed)) return corrupt(path, fmt::format("'{}' is not listed", needed));
  return listed;
}

Result<void> refuse_others(const std::string& folder, const std::map<std::string, Listed>& listed) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (name != kManifest && name != kSeal && !listed.contains(name))
      return Error{ErrorCode::kCorrupt, "the model's package does not list this file",
                   entry.path().string(), "move it elsewhere"};
  }
  if (failed) return Error{ErrorCode::kIo, failed.message(), folder, "check its permissions"};
  return {};
}

Result<void> read_format_2(const fs::path& folder, const json& manifest, Package& package) {
  const std::string path = folder / kManifest;
  QW_ASSIGN(package.inputs, fields_of(manifest.at("inputs"), path));
  QW_ASSIGN(package.outputs, fields_of(manifest.at("outputs"), path));
  QW_ASSIGN(const auto listed, listed_files(manifest.at("files"), path));
  QW_TRY(refuse_others(folder, listed));
  for (const auto& [name, facts] : listed) {
    const std::string file = folder / name;
    QW_ASSIGN(Artefact artefact, as_part(Artefact::map(name, file), file));
    if (artefact.bytes().size() != facts.bytes)
      return corrupt(file, fmt::format("the file has {} bytes, manifest.json says {}",
                                       artefact.bytes().size(), facts.bytes));
    if (artefact.sha256() != facts.sha256)
      return corrupt(file, "the file differs from the digest in manifest.json");
    if (name == kSettings)
      package.settings = artefact.bytes();
    else if (name == kProfile)
      package.profile = artefact.bytes();
    else
      package.artefacts.push_back(std::move(artefact));
  }
  return {};
}

// Whether there is a seal; the manifest is as it says.
Result<bool> sealed(const std::string& folder, std::string_view manifest) {
  const std::string path = folder + "/" + kSeal;
  if (std::error_code failed; !fs::exists(path, failed)) return false;
  QW_ASSIGN(const std::string seal, read_part(path));
  if (seal != seal_of(manifest))
    return corrupt(folder + "/" + kManifest,
                   fmt::format("the file differs from the digest in {}", kSeal));
  return true;
}

Result<void> write_files(const std::string& folder, const Package& package,
                         const std::string& manifest) {
  QW_TRY(write_file_atomically(folder + "/" + kSettings, package.settings));
  QW_TRY(write_file_atomically(folder + "/" + kProfile, package.profile));
  for (const Artefact& artefact : package.artefacts)
    QW_TRY(write_file_atomically(folder + "/" + artefact.name(), artefact.bytes()));
  QW_TRY(write_file_atomically(folder + "/" + kSeal, seal_of(manifest)));
  return write_file_atomically(folder + "/" + kManifest, manifest);
}

// What format 1 said of itself, byte by byte: registries remember it.
std::string content_digest_1(const Package& package) {
  json inputs = json::object();
  for (const schema::Field& field : package.inputs.fields())
    inputs[field.name] = field.type.to_string();
  const std::string inputs_text = inputs.dump();
  std::string all;
  for (const std::string* part :
       {&package.model, &package.kind, &package.settings, &inputs_text, &package.profile})
    all += fmt::format("{}:{};", part->size(), *part);
  return sha256_hex(all);
}

}  // namespace

const Artefact* Package::artefact(std::string_view name) const {
  for (const Artefact& one : artefacts)
    if (one.name() == name) return &one;
  return nullptr;
}

Result<void> check_package(const Package& package) {
  QW_TRY(check_fields(package.inputs, "input", kInputsMax));
  QW_TRY(check_fields(package.outputs, "output", kOutputsMax));
  for (const schema::Field& output : package.outputs.fields())
    if (output.type.kind == schema::Kind::kString)
      return bad(fmt::format("the output '{}' is a string", output.name),
                 "declare a number or a bool: a class is its number");
  if (package.artefacts.size() > kArtefactsMax)
    return bad(fmt::format("{} artefacts, at most {}", package.artefacts.size(), kArtefactsMax),
               "put them into fewer files");
  std::set<std::string_view> names;
  for (const Artefact& artefact : package.artefacts) {
    QW_TRY(check_file_name(artefact.name()));
    if (!names.insert(artefact.name()).second)
      return bad(fmt::format("the artefact '{}' comes twice", artefact.name()), "name each once");
  }
  return {};
}

std::string content_digest(const Package& package) {
  if (package.format == 1) return content_digest_1(package);
  std::map<std::string_view, std::string_view> artefacts;  // their order says nothing
  for (const Artefact& artefact : package.artefacts) artefacts[artefact.name()] = artefact.sha256();
  std::string all;
  const auto add = [&all](std::string_view part) {
    all += fmt::format("{}:{};", part.size(), part);
  };
  for (const std::string* part :
       {&package.model, &package.kind, &package.settings, &package.profile})
    add(*part);
  add(json_of(package.inputs).dump());
  add(json_of(package.outputs).dump());
  for (const auto& [name, sha256] : artefacts) {
    add(name);
    add(sha256);
  }
  return sha256_hex(all);
}

Result<void> write_package(const std::string& folder, const Package& package) {
  std::error_code ignored;
  if (fs::exists(folder, ignored))
    return Error{ErrorCode::kConflict, "a package exists there already", folder,
                 "packages are never changed; publish a new version"};
  QW_TRY(check_package(package));
  QW_ASSIGN(const json manifest, manifest_of(package));
  const std::string temporary = folder + ".tmp";
  fs::remove_all(temporary, ignored);
  QW_TRY(make_folders(temporary));
  QW_TRY(write_files(temporary, package, manifest.dump(2)));
  std::error_code error;
  fs::rename(temporary, folder, error);
  if (error)
    return Error{ErrorCode::kIo, fmt::format("cannot rename: {}", error.message()), folder, ""};
  return sync_folder(fs::path(folder).parent_path().string());
}

Result<Package> read_package(const std::string& folder) {
  const std::string path = folder + "/" + kManifest;
  if (std::error_code failed; !fs::exists(folder, failed))
    return Error{ErrorCode::kNotFound, "the folder of the model's package is missing", folder,
                 kMend};
  QW_ASSIGN(const std::string text, read_part(path));
  QW_ASSIGN(const bool is_sealed, sealed(folder, text));
  QW_ASSIGN(const json manifest, parse_object(text, path));
  try {
    Package package;
    package.format = manifest.value("format", 0);
    if (package.format > kPackageFormat)
      return Error{ErrorCode::kUnsupported, "the package was written by a newer Quickwater", path,
                   "start the newer version"};
    package.model = manifest.value("model", std::string());
    package.version = manifest.value("version", int64_t{0});
    package.kind = manifest.value("kind", std::string());
    package.created_us = manifest.value("created_us", int64_t{0});
    package.metrics = manifest.at("metrics").dump();
    package.lineage = manifest.at("lineage").dump();
    if (package.format == 1) {
      QW_TRY(read_format_1(folder, manifest, package));
      return package;
    }
    if (!is_sealed)
      return corrupt(folder + "/" + kSeal, "a file of the model's package is missing");
    QW_TRY(read_format_2(folder, manifest, package));
    if (const auto sound = check_package(package); !sound.ok())
      return corrupt(path, sound.error().message);
    return package;
  } catch (const json::exception& problem) {
    return corrupt(path, problem.what());
  }
}

}  // namespace qw::models
