// Reading and checking settings by name.
#include "models/engines/detectors/settings.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace qw::models {
namespace {

using detectors::DetectorSettings;
using detectors::FieldRef;

double read(FieldRef field) {
  return std::visit([](auto* value) { return static_cast<double>(*value); }, field);
}

void write(FieldRef field, double value) {
  if (auto* integer = std::get_if<int*>(&field)) {
    **integer = static_cast<int>(value);
  } else {
    **std::get_if<double*>(&field) = value;
  }
}

// Levenshtein distance, for "did you mean".
size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

Error unknown_name(std::string_view kind, std::string_view name,
                   const std::vector<SettingInfo>& table) {
  const auto nearest =
      std::min_element(table.begin(), table.end(), [&](const SettingInfo& a, const SettingInfo& b) {
        return edits_between(name, a.name) < edits_between(name, b.name);
      });
  return Error{ErrorCode::kBadInput,
               std::string(kind) + " has no setting '" + std::string(name) + "'", "",
               "did you mean '" + nearest->name + "'?"};
}

Result<void> check_value(const SettingInfo& info, double value) {
  const auto text = [](double number) { return nlohmann::json(number).dump(); };
  if (!(value >= info.min && value <= info.max)) {
    return Error{ErrorCode::kBadInput, info.name + " is " + text(value), "",
                 "give a value from " + text(info.min) + " to " + text(info.max) +
                     (info.unit.empty() ? "" : " (" + info.unit + ")")};
  }
  if (info.integer && value != std::floor(value)) {
    return Error{ErrorCode::kBadInput, info.name + " is " + text(value), "", "give a whole number"};
  }
  return {};
}

}  // namespace

Result<std::vector<SettingInfo>> settings_table(std::string_view kind) {
  QW_ASSIGN(DetectorSettings shipped, detectors::shipped_settings(kind));
  std::vector<SettingInfo> table;
  detectors::for_each_setting(kind, shipped, [&](const SettingInfo& info, FieldRef field) {
    table.push_back(info);
    table.back().default_value = read(field);
  });
  return table;
}

Result<void> check_settings(std::string_view kind, const Settings& settings) {
  QW_ASSIGN(const std::vector<SettingInfo> table, settings_table(kind));
  for (const auto& [name, value] : settings) {
    const auto info = std::find_if(table.begin(), table.end(),
                                   [&](const SettingInfo& i) { return i.name == name; });
    if (info == table.end()) return unknown_name(kind, name, table);
    QW_TRY(check_value(*info, value));
  }
  return {};
}

Result<Settings> settings_from_json(std::string_view kind, std::string_view json) {
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object()) {
    return Error{ErrorCode::kBadInput, "detector settings are not a JSON object", "",
                 "write {\"name\": number, ...}"};
  }
  Settings settings;
  for (const auto& [name, value] : parsed.items()) {
    if (!value.is_number()) {
      return Error{ErrorCode::kBadInput, name + " is not a number", "", "give a number"};
    }
    settings[name] = value.get<double>();
  }
  QW_TRY(check_settings(kind, settings));
  return settings;
}

namespace detectors {

Result<DetectorSettings> apply_settings(std::string_view kind, const Settings& settings) {
  QW_TRY(check_settings(kind, settings));
  QW_ASSIGN(DetectorSettings applied, shipped_settings(kind));
  for_each_setting(kind, applied, [&](const SettingInfo& info, FieldRef field) {
    const auto found = settings.find(info.name);
    if (found != settings.end()) write(field, found->second);
  });
  return applied;
}

}  // namespace detectors
}  // namespace qw::models
