#include "train/nab/corpus.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace qw::train::nab {
namespace {

using nlohmann::ordered_json;

Result<ordered_json> read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return Error{ErrorCode::kNotFound, "cannot read the file", path,
                 "point --data at a folder that has nab/ in it"};
  }
  ordered_json json = ordered_json::parse(file, nullptr, false);
  if (!json.is_object()) return Error{ErrorCode::kBadInput, "not a JSON object", path, ""};
  return json;
}

Result<std::vector<models::Observation>> read_rows(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error{ErrorCode::kNotFound, "cannot read the file", path, ""};
  std::vector<models::Observation> rows;
  std::string line;
  std::getline(file, line);  // header
  for (size_t number = 2; std::getline(file, line); ++number) {
    const size_t comma = line.find(',');
    const char* const end = line.data() + line.size();
    double value = 0;
    if (comma == std::string::npos ||
        std::from_chars(line.data() + comma + 1, end, value).ec != std::errc()) {
      return Error{ErrorCode::kBadInput, "not 'time,value'", path + ":" + std::to_string(number),
                   ""};
    }
    QW_ASSIGN(const int64_t time_us, parse_time_us(line.substr(0, comma)));
    rows.push_back({time_us, value});
  }
  return rows;
}

Result<Series> read_series(const std::string& folder, const std::string& name,
                           const ordered_json& windows) {
  Series series;
  series.name = name;
  QW_ASSIGN(series.rows, read_rows(folder + "/data/" + name));
  for (const auto& window : windows) {
    if (!window.is_array() || window.size() != 2 || !window[0].is_string() ||
        !window[1].is_string()) {
      return Error{ErrorCode::kBadInput, "a window is not [first, last]", name, ""};
    }
    QW_ASSIGN(const int64_t first, parse_time_us(window[0].get<std::string>()));
    QW_ASSIGN(const int64_t last, parse_time_us(window[1].get<std::string>()));
    series.windows.push_back({first, last});
  }
  return series;
}

}  // namespace

Result<int64_t> parse_time_us(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute,
                  &second) != 6) {
    return Error{ErrorCode::kBadInput, "'" + text + "' is not a time", "",
                 "write it as 2014-04-10 07:15:00"};
  }
  const std::chrono::sys_days date =
      std::chrono::year(year) / static_cast<unsigned>(month) / static_cast<unsigned>(day);
  const int64_t seconds =
      int64_t{date.time_since_epoch().count()} * 86400 + hour * 3600 + minute * 60 + second;
  return seconds * 1'000'000;
}

Result<Corpus> read_corpus(const std::string& folder) {
  Corpus corpus;
  QW_ASSIGN(const ordered_json labels, read_json(folder + "/labels/combined_windows.json"));
  for (const auto& [name, windows] : labels.items()) {
    QW_ASSIGN(Series series, read_series(folder, name, windows));
    corpus.series.push_back(std::move(series));
  }
  const std::string profiles_path = folder + "/config/profiles.json";
  QW_ASSIGN(const ordered_json profiles, read_json(profiles_path));
  for (const auto& [name, profile] : profiles.items()) {
    if (!profile.contains("CostMatrix")) {
      return Error{ErrorCode::kBadInput, name + " has no CostMatrix", profiles_path, ""};
    }
    const ordered_json& cost = profile["CostMatrix"];
    corpus.profiles.push_back({name, cost.value("tpWeight", 1.0), cost.value("fpWeight", 0.11),
                               cost.value("fnWeight", 1.0)});
  }
  return corpus;
}

}  // namespace qw::train::nab
