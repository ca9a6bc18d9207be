#include "app/config/shape.h"

#include <fmt/format.h>

#include <algorithm>

namespace qw::app {
namespace {

using schema::Setting;
using schema::SettingKind;

bool is_text_kind(SettingKind kind) {
  return kind == SettingKind::kResolved || kind == SettingKind::kSecret;
}

std::string shortened(std::string_view text) {
  constexpr size_t kShown = 48;
  if (text.size() <= kShown) return std::string(text);
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::string found(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kScalar: return fmt::format("'{}'", shortened(node.text));
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a group of keys";
  }
  return "something else";
}

bool names_are_used_in_expressions(std::string_view path) {
  return path.ends_with(".schema") || path.ends_with(".aggregates") || path.ends_with(".rules") ||
         path.ends_with(".output") || path == "healing.commands";
}

std::string missing_value_mend(const Setting& setting) {
  std::string mend =
      setting.example.empty()
          ? "write " + schema::expected(setting)
          : fmt::format("for example {}: {}", schema::last_part(setting.path), setting.example);
  if (!setting.required && !setting.path.ends_with(".*")) mend += ", or leave the key out";
  return mend;
}

class ShapeCheck {
 public:
  explicit ShapeCheck(Problems& problems) : problems_(problems) {}

  void group(const YamlNode& node, const std::string& path, Place place);

 private:
  void value(const YamlNode& node, const Setting& setting, Place key_place);
  void groups(const YamlNode& node, const Setting& setting);
  void map(const YamlNode& node, const Setting& setting);
  void texts(const YamlNode& node, const Setting& setting);
  void bounds(const YamlNode& node);
  void scalar(const YamlNode& node, const Setting& setting);
  void unknown_key(const YamlEntry& entry, const std::string& path,
                   const std::vector<const Setting*>& known);
  void required_keys(const YamlNode& node, const std::string& path, Place place,
                     const std::vector<const Setting*>& known);
  static bool misspelt(const YamlNode& node, const std::string& key, const std::string& path,
                       const std::vector<const Setting*>& known);
  void one_of(const YamlNode& node, const std::string& path, Place place);
  void wrong_kind(const YamlNode& node, const Setting& setting) {
    problems_.error(
        "wrong_type", node.place,
        fmt::format("'{}' must be {}, not {}", label(setting.path), schema::expected(setting),
                    found(node)),
        setting.example.empty()
            ? ""
            : fmt::format("for example {}: {}", schema::last_part(setting.path), setting.example));
  }
  // What a person calls it: an entry, or a value under a name of their own, by its group.
  static std::string label(std::string_view path) {
    if (path.ends_with(".*") || path.ends_with("[]")) path = path.substr(0, path.size() - 2);
    return std::string(schema::last_part(path));
  }

  Problems& problems_;
};

void ShapeCheck::group(const YamlNode& node, const std::string& path, Place place) {
  const std::vector<const Setting*> known = schema::settings_below(path);
  const std::string prefix = path.empty() ? "" : path + ".";
  one_of(node, path, place);
  for (const YamlEntry& entry : node.entries) {
    const Setting* const setting = schema::find_setting(prefix + entry.key);
    if (setting == nullptr) {
      unknown_key(entry, path, known);
      continue;
    }
    if (!setting->with.empty() && node.find(setting->with) == nullptr)
      problems_.error("misplaced_key", entry.place,
                      fmt::format("'{}' means nothing without '{}'", entry.key, setting->with),
                      fmt::format("add '{}' beside it, or remove '{}'", setting->with, entry.key));
    value(*entry.value, *setting, entry.place);
  }
  required_keys(node, path, place, known);
}

void ShapeCheck::unknown_key(const YamlEntry& entry, const std::string& path,
                             const std::vector<const Setting*>& known) {
  std::vector<std::string> names;
  for (const Setting* setting : known) names.emplace_back(schema::last_part(setting->path));
  const std::string near = schema::nearest(entry.key, names);
  std::string mend = schema::suggestion(entry.key, names);
  // Perhaps the right key at the wrong depth: below one of the groups here, or further out.
  for (const Setting& setting : schema::app_file_settings()) {
    if (!near.empty() || schema::last_part(setting.path) != entry.key) continue;
    const std::string_view parent = setting.path.substr(
        0, setting.path.size() - entry.key.size() - (setting.path == entry.key ? 0 : 1));
    if (parent.empty()) {
      mend = fmt::format("'{}' belongs at the top of the file, without indentation", entry.key);
    } else if (path.empty() ? parent.find('[') == std::string_view::npos
                            : parent.starts_with(path)) {
      mend = fmt::format("'{}' belongs below '{}'", entry.key, schema::last_part(parent));
      break;
    }
  }
  problems_.error("unknown_key", entry.place,
                  path.empty()
                      ? fmt::format("unknown key '{}'", shortened(entry.key))
                      : fmt::format("unknown key '{}' in '{}'", shortened(entry.key), label(path)),
                  mend);
}

// An unknown key beside it was already answered with "did you mean 'key'?".
bool ShapeCheck::misspelt(const YamlNode& node, const std::string& key, const std::string& path,
                          const std::vector<const Setting*>& known) {
  std::vector<std::string> names;
  for (const Setting* setting : known) names.emplace_back(schema::last_part(setting->path));
  const std::string prefix = path.empty() ? "" : path + ".";
  return std::any_of(node.entries.begin(), node.entries.end(), [&](const YamlEntry& entry) {
    return schema::find_setting(prefix + entry.key) == nullptr &&
           schema::nearest(entry.key, names) == key;
  });
}

void ShapeCheck::required_keys(const YamlNode& node, const std::string& path, Place place,
                               const std::vector<const Setting*>& known) {
  for (const Setting* setting : known) {
    if (!setting->required) continue;
    if (!setting->with.empty() && node.find(setting->with) == nullptr) continue;
    const std::string key(schema::last_part(setting->path));
    if (node.find(key) != nullptr || misspelt(node, key, path, known)) continue;
    const std::string where =
        path.empty() ? "the file" : fmt::format("this entry of '{}'", label(path));
    problems_.error("missing_key", place, fmt::format("{} needs '{}'", where, key),
                    setting->example.empty()
                        ? std::string(setting->help)
                        : fmt::format("for example {}: {}", key, setting->example));
  }
}

void ShapeCheck::one_of(const YamlNode& node, const std::string& path, Place place) {
  for (const schema::OneOf& rule : schema::app_file_one_ofs()) {
    if (rule.path != path) continue;
    const std::vector<std::string> keys = schema::split_choices(rule.keys);
    std::vector<const YamlEntry*> given;
    for (const YamlEntry& entry : node.entries)
      if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) given.push_back(&entry);
    if (given.size() == 1) continue;
    std::string list;
    for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
    const std::string name = label(path);
    if (given.empty())
      problems_.error("missing_key", place,
                      fmt::format("this entry of '{}' needs one of {}", name, list));
    else
      problems_.error("misplaced_key", given[1]->place,
                      fmt::format("this entry of '{}' has both '{}' and '{}'", name, given[0]->key,
                                  given[1]->key),
                      fmt::format("keep exactly one of {}", list));
  }
}

void ShapeCheck::value(const YamlNode& node, const Setting& setting, Place key_place) {
  const bool empty = node.kind == YamlNode::Kind::kNull;
  const bool is_map = node.kind == YamlNode::Kind::kMap;
  switch (setting.kind) {
    case SettingKind::kGroup:
      // `host:` alone means all defaults.
      if (empty || is_map) return group(node, std::string(setting.path), key_place);
      return wrong_kind(node, setting);
    case SettingKind::kGroups: return groups(node, setting);
    case SettingKind::kMap:
      if (is_map) return map(node, setting);
      return wrong_kind(node, setting);
    case SettingKind::kTexts:
    case SettingKind::kWindows:
    case SettingKind::kReferences: return texts(node, setting);
    case SettingKind::kBounds:
      if (node.kind == YamlNode::Kind::kList && node.items.size() == 2) return bounds(node);
      return wrong_kind(node, setting);
    default: break;
  }
  if (empty) {
    problems_.error("missing_value", key_place,
                    fmt::format("'{}' has no value", label(setting.path)),
                    missing_value_mend(setting));
    return;
  }
  if (node.kind != YamlNode::Kind::kScalar) return wrong_kind(node, setting);
  scalar(node, setting);
}

void ShapeCheck::groups(const YamlNode& node, const Setting& setting) {
  if (node.kind != YamlNode::Kind::kList) return wrong_kind(node, setting);
  if (node.items.empty() && setting.required)
    problems_.error("missing_value", node.place, fmt::format("'{}' is empty", label(setting.path)),
                    std::string(setting.help));
  for (const YamlPtr& item : node.items) {
    if (item->kind == YamlNode::Kind::kMap)
      group(*item, std::string(setting.path) + "[]", item->place);
    else
      problems_.error("wrong_type", item->place,
                      fmt::format("an entry of '{}' must be a group of keys, not {}",
                                  label(setting.path), found(*item)));
  }
}

void ShapeCheck::map(const YamlNode& node, const Setting& setting) {
  const Setting* const below = schema::find_setting(std::string(setting.path) + ".*");
  QW_ASSERT(below != nullptr);
  for (const YamlEntry& entry : node.entries) {
    if (names_are_used_in_expressions(setting.path))
      if (const Result<void> good = schema::check_name(entry.key, SettingKind::kIdentifier);
          !good.ok())
        problems_.error("bad_name", entry.place, good.error().message, good.error().how_to_mend);
    value(*entry.value, *below, entry.place);
  }
}

void ShapeCheck::texts(const YamlNode& node, const Setting& setting) {
  const bool one_is_enough = setting.kind == SettingKind::kReferences;
  if (one_is_enough && node.kind == YamlNode::Kind::kScalar) return scalar(node, setting);
  if (node.kind != YamlNode::Kind::kList) return wrong_kind(node, setting);
  if (node.items.empty() && (one_is_enough || setting.kind == SettingKind::kWindows))
    problems_.error("missing_value", node.place, fmt::format("'{}' is empty", label(setting.path)));
  for (const YamlPtr& item : node.items) {
    if (item->kind == YamlNode::Kind::kScalar)
      scalar(*item, setting);
    else
      problems_.error("wrong_type", item->place,
                      fmt::format("an entry of '{}' must be a single value, not {}",
                                  label(setting.path), found(*item)));
  }
}

void ShapeCheck::bounds(const YamlNode& node) {
  for (const YamlPtr& item : node.items) {
    if (item->kind == YamlNode::Kind::kNull) continue;
    if (item->kind != YamlNode::Kind::kScalar || !schema::parse_number(item->text).ok())
      problems_.error("wrong_type", item->place,
                      fmt::format("a bound must be a number or null, not {}", found(*item)));
  }
}

void ShapeCheck::scalar(const YamlNode& node, const Setting& setting) {
  constexpr size_t kTextMax = 16'384;
  if (node.text.size() > kTextMax) {
    problems_.error("bad_value", node.place,
                    fmt::format("'{}' has {} characters, more than {}", label(setting.path),
                                node.text.size(), kTextMax));
    return;
  }
  if (!is_text_kind(setting.kind) && mentions_variable(node.text)) {
    problems_.error("misplaced_variable", node.place,
                    fmt::format("variables are not replaced in '{}'", label(setting.path)),
                    "they are in addresses, topics, headers and secrets; `quickwater help app-file "
                    "KEY` says which");
    return;
  }
  if (const Result<void> good = check_scalar(setting, node.text); !good.ok())
    problems_.error("bad_value", node.place,
                    fmt::format("'{}': {}", label(setting.path), good.error().message),
                    good.error().how_to_mend);
}

Error not_a_choice(const Setting& setting, const std::string& text) {
  const std::vector<std::string> choices = schema::split_choices(setting.allowed);
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  const std::string near = schema::nearest(text, choices);
  return {ErrorCode::kBadInput, fmt::format("'{}' is not a choice", shortened(text)), "",
          near.empty() ? fmt::format("write one of {}", list)
                       : fmt::format("did you mean '{}'? (one of {})", near, list)};
}

Result<void> check_choice(const Setting& setting, const std::string& text) {
  const std::vector<std::string> choices = schema::split_choices(setting.allowed);
  if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end())
    return {};
  return not_a_choice(setting, text);
}

template <class T>
Result<void> only_error(Result<T> result) {
  if (result.ok()) return {};
  return std::move(result).error();
}

Result<void> check_version(const std::string& text) {
  const size_t at = text.find('@');
  if (text.starts_with("registry:") && at != std::string::npos &&
      schema::check_name(text.substr(9, at - 9), SettingKind::kName).ok() && at + 1 < text.size())
    return {};
  return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a version", shortened(text)), "",
               "write registry:NAME@champion, or registry:NAME@3 for a fixed one"};
}

Result<void> check_condition(const std::string& text) {
  std::string_view rest = text;
  const auto skip = [&rest](std::string_view word) {
    if (!rest.starts_with(word)) return false;
    rest.remove_prefix(word.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    return true;
  };
  const bool compared = skip(">=") || skip(">");
  const bool champion = compared && skip("champion");
  if (champion && (rest.empty() || ((skip("+") || skip("-")) && schema::parse_number(rest).ok())))
    return {};
  if (compared && !champion && schema::parse_number(rest).ok()) return {};
  return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a condition", shortened(text)), "",
               "write \">= champion\", \">= champion - 0.5\" or \">= 60\""};
}

}  // namespace

bool mentions_variable(std::string_view text) {
  for (size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 2)) {
    if (at > 0 && text[at - 1] == '$') continue;
    const size_t end = text.find_first_of("}:", at);
    if (end == std::string_view::npos) return false;
    if (schema::check_name(text.substr(at + 2, end - at - 2), SettingKind::kIdentifier).ok())
      return true;
  }
  return false;
}

Result<void> check_scalar(const Setting& setting, const std::string& text) {
  switch (setting.kind) {
    case SettingKind::kName:
    case SettingKind::kIdentifier: return schema::check_name(text, setting.kind);
    case SettingKind::kBool:
      if (text == "true" || text == "false") return {};
      return Error{ErrorCode::kBadInput, fmt::format("'{}' is not true or false", shortened(text)),
                   "", "write true or false"};
    case SettingKind::kInteger: QW_TRY(only_error(schema::parse_integer(text))); break;
    case SettingKind::kNumber: QW_TRY(only_error(schema::parse_number(text))); break;
    case SettingKind::kShare: QW_TRY(only_error(schema::parse_share(text))); break;
    case SettingKind::kDuration: QW_TRY(only_error(schema::parse_duration_us(text))); break;
    case SettingKind::kSize: QW_TRY(only_error(schema::parse_size_bytes(text))); break;
    case SettingKind::kRate: return only_error(schema::parse_rate(text));
    case SettingKind::kWindows: return only_error(schema::parse_window(text));
    case SettingKind::kType: {
      const Result<schema::Type> type = schema::parse_type(text);
      if (type.ok()) return {};
      const std::string near = schema::nearest(
          text, {"bool", "int64", "double", "string", "timestamp", "decimal(12,2)"});
      if (near.empty() || text.starts_with("decimal")) return type.error();
      return Error{ErrorCode::kBadInput, type.error().message, "",
                   fmt::format("did you mean '{}'?", near)};
    }
    case SettingKind::kVersion: return check_version(text);
    case SettingKind::kCondition: return check_condition(text);
    case SettingKind::kChoice:
    case SettingKind::kTexts: return check_choice(setting, text);
    case SettingKind::kExpression:
    case SettingKind::kReference:
    case SettingKind::kReferences:
    case SettingKind::kText:
      if (text.empty() && setting.path != "sources[].csv.nulls")
        return Error{ErrorCode::kBadInput, "the text is empty", "",
                     setting.required ? "" : "leave the key out instead"};
      return {};
    default: return {};
  }
  return schema::check_range(setting, text);
}

void check_shape(const YamlNode& root, Problems& problems) {
  if (root.kind != YamlNode::Kind::kMap) {
    problems.error("wrong_type", root.place,
                   fmt::format("an application file is a group of keys, not {}", found(root)),
                   "begin with `app: NAME`");
    return;
  }
  ShapeCheck(problems).group(root, "", {1, 1});
}

}  // namespace qw::app
