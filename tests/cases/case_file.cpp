#include "case_file.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "features/cell_text.h"

namespace qw::cases {
namespace {

std::string trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  bool quoted = false;
  std::string part;
  for (const char c : text) {
    if (c == '\'') quoted = !quoted;
    if (c == separator && !quoted) {
      parts.push_back(trim(part));
      part.clear();
    } else {
      part.push_back(c);
    }
  }
  parts.push_back(trim(part));
  return parts;
}

// "2024-03-31T01:30:00+02:00" or ...Z, to microseconds.
bool parse_instant(const std::string& text, int64_t& us) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d%n", &year, &month, &day, &hour, &minute, &second,
                  &used) != 6)
    return false;
  const std::string zone = text.substr(static_cast<size_t>(used));
  int zone_hour = 0, zone_minute = 0;
  if (zone != "Z" && std::sscanf(zone.c_str() + 1, "%d:%d", &zone_hour, &zone_minute) != 2)
    return false;
  const int offset_minutes = (zone_hour * 60 + zone_minute) * (zone.starts_with('-') ? -1 : 1);
  const auto date = std::chrono::sys_days(std::chrono::year(year) /
                                          std::chrono::month(static_cast<unsigned>(month)) /
                                          std::chrono::day(static_cast<unsigned>(day)));
  const int64_t seconds = date.time_since_epoch().count() * int64_t{86'400} + hour * 3'600 +
                          minute * 60 + second - offset_minutes * 60;
  us = seconds * 1'000'000;
  return true;
}

// "0", "10s", "-1us", "-10s+1us", an instant, or int64 microseconds with "us".
Result<int64_t> parse_time(const std::string& text) {
  int64_t us = 0;
  if (parse_instant(text, us)) return us;
  if (text == "0") return int64_t{0};
  const size_t plus = text.find('+');
  if (plus != std::string::npos) {
    QW_ASSIGN(const int64_t first, parse_time(text.substr(0, plus)));
    QW_ASSIGN(const int64_t second, parse_time(text.substr(plus + 1)));
    return first + second;
  }
  const bool negative = text.starts_with('-');
  QW_ASSIGN(us, features::parse_duration_us(negative ? text.substr(1) : text));
  return negative ? -us : us;
}

// What the lines before the events say.
struct Header {
  std::vector<schema::Field> fields;
  features::ViewDefinition view{"v", "events", {}, {}, {}};
  std::vector<features::DeriveDefinition> derived;
  int64_t lateness_us = 0;
  std::string no_oracle;
};

class CaseReader {
 public:
  explicit CaseReader(const std::string& path) : path_(path) {}

  Result<CaseFile> run() {
    std::ifstream file(path_);
    std::string line;
    while (std::getline(file, line)) {
      ++line_;
      if (line.starts_with('#') || trim(line).empty()) continue;
      auto done = take(line);
      if (done) continue;
      Error error = done.error();
      error.where =
          fmt::format("{}:{}{}{}", path_, line_, error.where.empty() ? "" : ", ", error.where);
      return error;
    }
    if (!case_ || case_->expected.empty()) return bad("no read");
    return std::move(*case_);
  }

 private:
  Error bad(const std::string& message) const {
    return Error{ErrorCode::kBadInput, message, "", ""};
  }
  Result<void> take(const std::string& line) {
    if (!case_ && trim(line) == "events") return begin_events();
    if (!case_) return take_header(line);
    if (line.starts_with("read ")) return take_read(line.substr(5));
    if (!case_->expected.empty()) return take_expected(line);
    return take_event(line);
  }
  Result<void> take_header(const std::string& line) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return bad("expected 'name: value'");
    const std::string name = line.substr(0, colon);
    const std::string value = trim(line.substr(colon + 1));
    if (name == "schema") return take_schema(value);
    if (name == "key") {
      header_.view.key = split(value, ',');
    } else if (name == "windows") {
      header_.view.windows = split(value, ',');
    } else if (name == "exclude_current") {
      header_.view.exclude_current = value == "true";
    } else if (name == "lateness") {
      QW_ASSIGN(header_.lateness_us, parse_time(value));
    } else if (name == "no_oracle") {
      header_.no_oracle = value;
    } else if (name.starts_with("aggregate ")) {
      header_.view.aggregates.push_back({trim(name.substr(10)), value});
    } else if (name.starts_with("derive ")) {
      header_.derived.push_back({trim(name.substr(7)), value});
    } else {
      return bad(fmt::format("unknown line '{}'", name));
    }
    return {};
  }
  Result<void> take_schema(const std::string& text) {
    // decimal(9,2) has a comma of its own, so columns are separated by ';'.
    for (const std::string& column : split(text, ';')) {
      const size_t space = column.find(' ');
      QW_ASSIGN(const schema::Type type, schema::parse_type(trim(column.substr(space + 1))));
      header_.fields.push_back({column.substr(0, space), type, true});
    }
    return {};
  }
  Result<void> begin_events() {
    if (header_.view.key.empty()) header_.view.key = {"k"};
    if (header_.view.windows.empty()) header_.view.windows = {"10s"};
    if (header_.view.aggregates.empty()) header_.view.aggregates = {{"n", "count()"}};
    auto source = std::make_shared<const schema::Schema>(header_.fields);
    QW_ASSIGN(features::Scenario scenario,
              features::make_scenario(header_.view, header_.derived, source, header_.lateness_us));
    scenario.name = path_.substr(path_.find("cases/") + 6);
    case_.emplace(CaseFile{path_, std::move(scenario), {}, header_.no_oracle});
    return {};
  }
  // time | status | values... ; seq counts the events of all partitions, "p2 ok" is partition 2.
  Result<void> take_event(const std::string& line) {
    const std::vector<std::string> parts = split(line, '|');
    schema::EventBatch& events = case_->scenario.events;
    if (parts.size() != header_.fields.size() + 2)
      return bad(fmt::format("{} parts instead of {}", parts.size(), header_.fields.size() + 2));
    schema::EventFacts facts;
    QW_ASSIGN(const int64_t time, parse_time(parts[0]));
    facts.event_time = EventTime{time};
    facts.known_at = KnownAt{time};
    facts.seq = Seq{events.facts.size() + 1};
    std::string status = parts[1];
    if (status.starts_with('p')) {
      facts.partition = PartitionId{static_cast<uint32_t>(status[1] - '0')};
      status = trim(status.substr(2));
    }
    bool known = false;
    for (uint8_t s = 1; s <= 5; ++s) {
      if (name_of(static_cast<schema::EventStatus>(s)) != status) continue;
      facts.status = static_cast<schema::EventStatus>(s);
      known = true;
    }
    if (!known) return bad(fmt::format("unknown status '{}'", status));
    std::vector<schema::Value> values;
    for (size_t i = 0; i < header_.fields.size(); ++i) {
      QW_ASSIGN(schema::Value value, features::parse_value(parts[i + 2], header_.fields[i].type));
      values.push_back(std::move(value));
    }
    events.rows.append_row(values);
    events.facts.push_back(facts);
    return {};
  }
  // KEY[, KEY] at TIME [seq N] [known N] [partition N]
  Result<void> take_read(const std::string& text) {
    features::Read read;
    const size_t at = text.find(" at ");
    if (at == std::string::npos) return bad("expected 'read KEY at TIME'");
    const std::vector<std::string> keys = split(text.substr(0, at), ',');
    const auto& columns = case_->scenario.view->key_columns();
    if (keys.size() != columns.size()) return bad("wrong number of keys");
    for (size_t i = 0; i < keys.size(); ++i) {
      QW_ASSIGN(schema::Value key, features::parse_value(keys[i], header_.fields[columns[i]].type));
      read.key.push_back(std::move(key));
    }
    std::vector<std::string> words = split(trim(text.substr(at + 4)), ' ');
    QW_ASSIGN(const int64_t time, parse_time(words[0]));
    read.point.event_time = EventTime{time};
    for (size_t i = 1; i + 1 < words.size(); i += 2) {
      const uint64_t number = std::stoull(words[i + 1]);
      if (words[i] == "seq") {
        read.point.seq = Seq{number};
        read.event = number - 1;
      } else if (words[i] == "known") {
        read.known.emplace();
        for (uint32_t partition = 0; partition < 10; ++partition)
          read.known->emplace_back(PartitionId{partition}, Seq{number});
      } else if (words[i] == "partition") {
        read.partition = PartitionId{static_cast<uint32_t>(number)};
      } else {
        return bad(fmt::format("unknown word '{}'", words[i]));
      }
    }
    case_->scenario.reads.push_back(std::move(read));
    case_->expected.emplace_back();
    return {};
  }
  //   name = value [(status)]
  Result<void> take_expected(const std::string& line) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) return bad("expected 'name = value'");
    Expected expected;
    expected.name = trim(line.substr(0, equals));
    std::string value = trim(line.substr(equals + 1));
    if (value.ends_with(')')) {
      const size_t open = value.rfind('(');
      expected.status = value.substr(open + 1, value.size() - open - 2);
      value = trim(value.substr(0, open));
    }
    QW_ASSIGN(const schema::Type type, type_of(expected.name));
    QW_ASSIGN(expected.value, features::parse_value(value, type));
    case_->expected.back().push_back(std::move(expected));
    return {};
  }
  Result<schema::Type> type_of(const std::string& name) const {
    const auto& output = *case_->scenario.view->output();
    if (const auto index = output.index_of(name)) return output.field(*index).type;
    for (const features::Derived& derived : case_->scenario.derived)
      if (derived.name == name) return derived.expression.type();
    return bad(fmt::format("no feature '{}'", name));
  }

  std::string path_;
  size_t line_ = 0;
  Header header_;
  std::optional<CaseFile> case_;
};

}  // namespace

Result<CaseFile> read_case_file(const std::string& path) { return CaseReader(path).run(); }

}  // namespace qw::cases
