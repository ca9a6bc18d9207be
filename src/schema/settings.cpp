#include "schema/settings.h"

#include <fmt/format.h>

#include <map>

#include "schema/internal/settings_rows.h"

namespace qw::schema {
namespace {

constexpr OneOf kOneOfs[] = {
    {"sources[]", "host|file|http|kafka"},
    {"sources[].expect[]", "not_null|between|in|matches"},
    {"features[]", "view|derive"},
    {"decisions[].sinks[]", "log|kafka|webhook|alertmanager"},
    {"decisions[].heal[]", "webhook|command"},
};

std::string_view parent_of(std::string_view path) {
  if (path.ends_with("[]")) return path.substr(0, path.size() - 2);
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

const std::map<std::string_view, const Setting*>& by_path() {
  static const auto kIndex = [] {
    std::map<std::string_view, const Setting*> index;
    for (const Setting& setting : app_file_settings()) index.emplace(setting.path, &setting);
    return index;
  }();
  return kIndex;
}

bool holds_more(SettingKind kind) {
  return kind == SettingKind::kGroup || kind == SettingKind::kGroups || kind == SettingKind::kMap;
}

// "1ms to 1s", "a, b"; "" when anything of the kind goes.
std::string allowed_text(const Setting& setting) {
  if (const size_t dots = setting.allowed.find(".."); dots != std::string_view::npos)
    return fmt::format("{} to {}", setting.allowed.substr(0, dots),
                       setting.allowed.substr(dots + 2));
  std::string list;
  for (const std::string& choice : split_choices(setting.allowed))
    list += (list.empty() ? "" : ", ") + choice;
  return list;
}

// "required", "default 5ms", "" ...
std::string presence(const Setting& setting) {
  std::string text = setting.required ? "required" : "";
  if (!setting.fallback.empty()) text = fmt::format("default {}", setting.fallback);
  if (!setting.with.empty())
    text += fmt::format("{}with {}", text.empty() ? "" : ", ", setting.with);
  return text;
}

void describe_one_of(std::string_view path, std::string& out) {
  for (const OneOf& rule : app_file_one_ofs()) {
    if (rule.path != path) continue;
    std::string keys;
    for (const std::string& key : split_choices(rule.keys))
      keys += (keys.empty() ? "" : ", ") + key;
    out += fmt::format("Exactly one of: {}.\n", keys);
  }
}

// Cells of a Markdown table cannot hold a bare |.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

void write_table(std::string_view path, std::string& out) {
  out += "| key | what | default | allowed | meaning |\n|---|---|---|---|---|\n";
  for (const Setting* row : settings_below(path)) {
    std::string fallback = row->required ? "*required*" : "";
    if (!row->fallback.empty()) fallback = fmt::format("`{}`", row->fallback);
    const std::string with = row->with.empty() ? "" : fmt::format(" (with `{}`)", row->with);
    const std::string example =
        row->example.empty() ? "" : fmt::format(" Example: `{}`", cell(row->example));
    out += fmt::format("| `{}`{} | {} | {} | {} | {}{} |\n", last_part(row->path), with,
                       name_of(row->kind), fallback, cell(allowed_text(*row)), cell(row->help),
                       example);
  }
  out += '\n';
}

void write_section(std::string_view path, std::string& out) {
  const Setting* const row = find_setting(path);
  const bool list = row->kind == SettingKind::kGroups;
  const std::string inside = std::string(path) + (list ? "[]" : "");
  out += fmt::format("## `{}`\n\n{}\n\n", inside, row->help);
  write_table(inside, out);
  for (const Setting* below : settings_below(inside))
    if (holds_more(below->kind)) write_section(below->path, out);
}

}  // namespace

std::span<const Setting> app_file_settings() {
  static const std::vector<Setting> kAll = [] {
    std::vector<Setting> all;
    for (const Setting& row : internal::input_rows()) all.push_back(row);
    for (const Setting& row : internal::output_rows()) all.push_back(row);
    return all;
  }();
  return kAll;
}

std::span<const OneOf> app_file_one_ofs() { return kOneOfs; }

const Setting* find_setting(std::string_view path) {
  const auto found = by_path().find(path);
  return found == by_path().end() ? nullptr : found->second;
}

std::vector<const Setting*> settings_below(std::string_view path) {
  std::vector<const Setting*> below;
  for (const Setting& setting : app_file_settings())
    if (parent_of(setting.path) == path) below.push_back(&setting);
  return below;
}

std::string_view last_part(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::string_view name_of(SettingKind kind) {
  switch (kind) {
    case SettingKind::kGroup: return "group";
    case SettingKind::kGroups: return "list of groups";
    case SettingKind::kMap: return "names and values";
    case SettingKind::kText: return "text";
    case SettingKind::kTexts: return "list of texts";
    case SettingKind::kName: return "name";
    case SettingKind::kIdentifier: return "identifier";
    case SettingKind::kReference: return "name of another part";
    case SettingKind::kReferences: return "name or list of names";
    case SettingKind::kExpression: return "expression";
    case SettingKind::kBool: return "true or false";
    case SettingKind::kInteger: return "whole number";
    case SettingKind::kNumber: return "number";
    case SettingKind::kShare: return "percentage";
    case SettingKind::kDuration: return "duration";
    case SettingKind::kSize: return "size";
    case SettingKind::kRate: return "limit";
    case SettingKind::kChoice: return "choice";
    case SettingKind::kResolved: return "text, `${VAR}` or `file:PATH`";
    case SettingKind::kSecret: return "secret: `${VAR}`, `file:PATH` or text";
    case SettingKind::kWindows: return "list of windows";
    case SettingKind::kType: return "type";
    case SettingKind::kVersion: return "version";
    case SettingKind::kCondition: return "condition";
    case SettingKind::kScalar: return "number, truth value or text";
    case SettingKind::kBounds: return "two numbers";
  }
  return "value";
}

std::string expected(const Setting& setting) {
  switch (setting.kind) {
    case SettingKind::kGroup: return "a group of keys";
    case SettingKind::kGroups: return "a list of groups, each beginning with '- '";
    case SettingKind::kMap: return "a group of `name: value` lines";
    case SettingKind::kTexts: return "a list such as [a, b]";
    case SettingKind::kReferences: return "a name or a list of names such as [a, b]";
    case SettingKind::kWindows: return "a list of windows such as [1m, 1h, 7d/1h]";
    case SettingKind::kBounds: return "two numbers such as [0, 100] (null leaves an end open)";
    case SettingKind::kReference: return "a name";
    case SettingKind::kBool: return "true or false";
    case SettingKind::kInteger: return "a whole number";
    case SettingKind::kDuration: return "a duration such as 30s";
    case SettingKind::kSize: return "a size such as 1MB";
    case SettingKind::kChoice: return "one of " + allowed_text(setting);
    case SettingKind::kType: return "a type such as double";
    case SettingKind::kExpression: return "an expression";
    case SettingKind::kScalar: return "a number, true, false or a text";
    default: return fmt::format("a {}", name_of(setting.kind));
  }
}

std::vector<std::string> split_choices(std::string_view allowed) {
  std::vector<std::string> choices;
  while (!allowed.empty()) {
    const size_t bar = allowed.find('|');
    choices.emplace_back(allowed.substr(0, bar));
    allowed = bar == std::string_view::npos ? std::string_view{} : allowed.substr(bar + 1);
  }
  return choices;
}

std::string app_file_reference() {
  std::string out =
      "# The application file\n\n"
      "One YAML file describes an application. This page is made from the settings table\n"
      "(`src/schema/settings_*_rows.cpp`) by `quickwater help --write docs/reference`; the same\n"
      "table checks the file (`quickwater validate`) and answers `quickwater help app-file "
      "KEY`.\n\n"
      "- Durations: a whole number and `us`, `ms`, `s`, `m`, `h`, `d` or `w`. Sizes: a whole "
      "number\n"
      "  and `B`, `KB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`, `GiB` (of 1024).\n"
      "- `${VAR}`, `${VAR:-otherwise}` and `file:PATH` are replaced where the table says so, and\n"
      "  nowhere else; what they stand for is never printed. `$${` is a literal `${`.\n"
      "- Unknown keys, wrong types, duplicate keys and names that lead nowhere are errors with\n"
      "  file:line:column. YAML anchors, aliases and `<<` work.\n"
      "- Limits: 1 MB, 32 levels deep, 100,000 values once aliases are filled in.\n\n"
      "## The top\n\n";
  write_table("", out);
  for (const Setting* row : settings_below(""))
    if (holds_more(row->kind)) write_section(row->path, out);
  out.pop_back();
  return out;
}

Result<std::string> app_file_help(std::string_view path) {
  std::string wanted(path);
  const Setting* row = find_setting(wanted);
  if (row == nullptr && !wanted.empty()) {
    // People leave the brackets out: "sources.kafka" is "sources[].kafka".
    std::vector<std::string> bare_names;
    for (const Setting& setting : app_file_settings()) {
      std::string bare;
      for (const char c : setting.path)
        if (c != '[' && c != ']') bare += c;
      if (bare == wanted || setting.path == wanted + "[]") row = &setting;
      bare_names.push_back(std::move(bare));
    }
    if (row == nullptr)
      return Error{ErrorCode::kNotFound, fmt::format("the application file has no '{}'", path), "",
                   suggestion(wanted, bare_names)};
  }
  std::string out;
  std::string inside;
  if (row != nullptr) {
    inside = std::string(row->path) + (row->kind == SettingKind::kGroups ? "[]" : "");
    out = fmt::format("{}: {}", row->path, name_of(row->kind));
    if (const std::string when = presence(*row); !when.empty()) out += fmt::format(" ({})", when);
    out += fmt::format("\n  {}\n", row->help);
    if (const std::string values = allowed_text(*row); !values.empty())
      out += fmt::format("  allowed: {}\n", values);
    if (!row->example.empty())
      out += fmt::format("  example: {}: {}\n", last_part(row->path), row->example);
    if (!holds_more(row->kind)) return out;
    out += '\n';
    describe_one_of(inside, out);
  }
  for (const Setting* below : settings_below(inside)) {
    const std::string when = presence(*below);
    out += fmt::format("  {:<20} {}{}\n", last_part(below->path), name_of(below->kind),
                       when.empty() ? "" : fmt::format(" ({})", when));
    out += fmt::format("  {:<20}   {}\n", "", below->help);
  }
  return out;
}

}  // namespace qw::schema
