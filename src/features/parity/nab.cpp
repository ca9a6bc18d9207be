#include "features/parity/nab.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace qw::features {
namespace {

// "2014-02-14 14:30:00" in UTC.
bool parse_moment(const std::string& text, int64_t& us) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute,
                  &second) != 6)
    return false;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return false;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  us = (days * 86'400 + hour * 3'600 + minute * 60 + second) * 1'000'000;
  return true;
}

}  // namespace

Result<std::vector<std::string>> nab_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  auto it = std::filesystem::recursive_directory_iterator(folder, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error))
    if (it->path().extension() == ".csv") files.push_back(it->path().string());
  if (error)
    return Error{ErrorCode::kIo, "cannot read the folder: " + error.message(), folder,
                 "give the folder that holds NAB's data files"};
  std::ranges::sort(files);
  return files;
}

Result<schema::EventBatch> read_nab(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error{ErrorCode::kIo, "cannot open the file", path, ""};
  schema::EventBatch events{
      schema::Batch(std::make_shared<const schema::Schema>(std::vector<schema::Field>{
          {"metric", schema::kString, false}, {"value", schema::kDouble}})),
      {}};
  const std::string metric = std::filesystem::path(path).stem().string();
  std::string line;
  std::getline(file, line);  // timestamp,value
  int64_t newest = std::numeric_limits<int64_t>::min();
  for (size_t number = 2; std::getline(file, line); ++number) {
    const size_t comma = line.find(',');
    int64_t us = 0;
    double value = 0;
    if (line.empty()) continue;
    if (comma == std::string::npos || !parse_moment(line, us) ||
        std::from_chars(line.data() + comma + 1, line.data() + line.size(), value).ec !=
            std::errc{})
      return Error{ErrorCode::kBadInput, "expected timestamp,value",
                   fmt::format("{}:{}", path, number), ""};
    schema::EventFacts facts;
    facts.seq = Seq{events.facts.size() + 1};
    facts.event_time = EventTime{us};
    facts.known_at = KnownAt{us};
    if (us < newest) facts.status = schema::EventStatus::kLateRepaired;
    newest = std::max(newest, us);
    events.rows.append_row({metric, value});
    events.facts.push_back(facts);
  }
  return events;
}

}  // namespace qw::features
