#include "app/config/cursor.h"

#include <algorithm>

#include "app/config/shape.h"

namespace qw::app {
namespace {

using schema::SettingKind;

Expression expression_of(const YamlNode& node) { return {node.text, node.place, node.one_to_one}; }

Name name_of(const YamlNode& node) { return {node.text, node.place}; }

bool is_scalar(const YamlNode* node) {
  return node != nullptr && node->kind == YamlNode::Kind::kScalar;
}

}  // namespace

const schema::Setting& Cursor::setting(std::string_view key) const {
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  const schema::Setting* const found = schema::find_setting(path);
  if (found == nullptr) internal::die(__FILE__, __LINE__, "the settings table has the key", path);
  if (context_.options.consulted != nullptr) context_.options.consulted->insert(path);
  return *found;
}

const YamlNode* Cursor::value_of(std::string_view key) const {
  setting(key);
  if (node_ == nullptr) return nullptr;
  const YamlEntry* const entry = node_->find(key);
  return entry == nullptr ? nullptr : entry->value.get();
}

Place Cursor::place(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  return value == nullptr ? place() : value->place;
}

Place Cursor::key_place(std::string_view key) const {
  setting(key);
  const YamlEntry* const entry = node_ == nullptr ? nullptr : node_->find(key);
  return entry == nullptr ? place() : entry->place;
}

std::string Cursor::good_text(std::string_view key) const {
  const schema::Setting& row = setting(key);
  const YamlNode* const value = value_of(key);
  if (is_scalar(value) && check_scalar(row, value->text).ok()) return value->text;
  return std::string(row.fallback);
}

std::string Cursor::text(std::string_view key) const { return good_text(key); }
int64_t Cursor::integer(std::string_view key) const {
  return schema::parse_integer(good_text(key)).value_or(0);
}
double Cursor::number(std::string_view key) const {
  return schema::parse_number(good_text(key)).value_or(0);
}
double Cursor::share(std::string_view key) const {
  return schema::parse_share(good_text(key)).value_or(0);
}
int64_t Cursor::duration_us(std::string_view key) const {
  return schema::parse_duration_us(good_text(key)).value_or(0);
}
int64_t Cursor::size_bytes(std::string_view key) const {
  return schema::parse_size_bytes(good_text(key)).value_or(0);
}
std::pair<int64_t, int64_t> Cursor::rate(std::string_view key) const {
  return schema::parse_rate(good_text(key)).value_or({0, 0});
}

size_t Cursor::choice_index(std::string_view key) const {
  const std::vector<std::string> choices = schema::split_choices(setting(key).allowed);
  const auto found = std::find(choices.begin(), choices.end(), good_text(key));
  return found == choices.end() ? 0 : static_cast<size_t>(found - choices.begin());
}

Name Cursor::name(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  return is_scalar(value) ? name_of(*value) : Name{};
}

std::vector<Name> Cursor::names(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  std::vector<Name> names;
  if (is_scalar(value)) names.push_back(name_of(*value));
  if (value != nullptr)
    for (const YamlPtr& item : value->items)
      if (is_scalar(item.get())) names.push_back(name_of(*item));
  return names;
}

std::vector<std::string> Cursor::texts(std::string_view key) const {
  std::vector<std::string> texts;
  for (Name& name : names(key)) texts.push_back(std::move(name.text));
  return texts;
}

Expression Cursor::expression(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  return is_scalar(value) ? expression_of(*value) : Expression{};
}

schema::Secret Cursor::secret(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  if (!is_scalar(value)) return {};
  const bool hidden = setting(key).kind == SettingKind::kSecret;
  if (hidden && !value->text.starts_with("file:") && !mentions_variable(value->text))
    context_.problems.add(Gravity::kWarning, "open_secret", value->place,
                          "a secret is written out in the file",
                          "give it by ${VARIABLE} or file:PATH");
  return resolve_secret(*value, hidden, context_);
}

std::vector<Window> Cursor::windows(std::string_view key) const {
  std::vector<Window> windows;
  for (Name& name : names(key)) {
    const auto [size, step] = schema::parse_window(name.text).value_or({0, 0});
    windows.push_back({size, step, name.text, name.place});
  }
  return windows;
}

std::pair<std::optional<double>, std::optional<double>> Cursor::bounds(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  if (value == nullptr || value->items.size() != 2) return {};
  const auto end = [](const YamlNode& node) -> std::optional<double> {
    const Result<double> number = schema::parse_number(node.text);
    return number.ok() ? std::optional(*number) : std::nullopt;
  };
  return {end(*value->items[0]), end(*value->items[1])};
}

Cursor Cursor::group(std::string_view key) const {
  return {value_of(key), std::string(setting(key).path), context_};
}

std::vector<Cursor> Cursor::groups(std::string_view key) const {
  const YamlNode* const value = value_of(key);
  std::vector<Cursor> groups;
  if (value == nullptr) return groups;
  for (const YamlPtr& item : value->items)
    if (item->kind == YamlNode::Kind::kMap)
      groups.emplace_back(item.get(), std::string(setting(key).path) + "[]", context_);
  return groups;
}

std::vector<std::pair<Name, const YamlNode*>> Cursor::map(std::string_view key) const {
  setting(std::string(key) + ".*");
  const YamlNode* const value = value_of(key);
  std::vector<std::pair<Name, const YamlNode*>> entries;
  if (value == nullptr) return entries;
  for (const YamlEntry& entry : value->entries)
    entries.emplace_back(Name{entry.key, entry.place}, entry.value.get());
  return entries;
}

std::vector<NamedExpression> Cursor::expressions(std::string_view key) const {
  std::vector<NamedExpression> all;
  // One that is no text keeps its name, so that what refers to it is not reported as well.
  for (auto& [name, node] : map(key))
    all.push_back({std::move(name), is_scalar(node) ? expression_of(*node) : Expression{}});
  return all;
}

std::vector<std::pair<std::string, schema::Secret>> Cursor::secrets(std::string_view key) const {
  std::vector<std::pair<std::string, schema::Secret>> all;
  for (auto& [name, node] : map(key))
    if (is_scalar(node)) all.emplace_back(name.text, resolve_secret(*node, true, context_));
  return all;
}

std::vector<std::pair<Name, Name>> Cursor::name_map(std::string_view key) const {
  std::vector<std::pair<Name, Name>> all;
  for (auto& [name, node] : map(key))
    if (is_scalar(node)) all.emplace_back(std::move(name), name_of(*node));
  return all;
}

}  // namespace qw::app
