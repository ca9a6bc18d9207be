// Values of the application file: units, names, ranges.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "schema/settings.h"

namespace qw::schema {
namespace {

constexpr int64_t kDurationMaxUs = 36500ll * 86'400'000'000ll;
constexpr size_t kNameLengthMax = 64;

struct Unit {
  std::string_view name;
  int64_t factor;
};
constexpr Unit kDurationUnits[] = {{"us", 1},
                                   {"ms", 1'000},
                                   {"s", 1'000'000},
                                   {"m", 60'000'000},
                                   {"h", 3'600'000'000},
                                   {"d", 86'400'000'000},
                                   {"w", 604'800'000'000}};
constexpr Unit kSizeUnits[] = {{"B", 1},
                               {"KB", 1000},
                               {"MB", 1'000'000},
                               {"GB", 1'000'000'000},
                               {"TB", 1'000'000'000'000},
                               {"KiB", 1024},
                               {"MiB", 1 << 20},
                               {"GiB", 1 << 30}};
constexpr std::string_view kExpressionWords[] = {"and",  "as",    "between", "case", "cast", "else",
                                                 "end",  "false", "in",      "is",   "like", "not",
                                                 "null", "or",    "then",    "true", "when"};

Error bad(std::string message, std::string how_to_mend = {}) {
  return {ErrorCode::kBadInput, std::move(message), "", std::move(how_to_mend)};
}

// A whole number and what follows it.
std::optional<std::pair<int64_t, std::string_view>> leading_integer(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return std::pair{number, text.substr(static_cast<size_t>(end - text.data()))};
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return out;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The quantity in a unit that allows comparison.
Result<double> quantity(SettingKind kind, std::string_view text) {
  const auto as_number = [](Result<int64_t> whole) -> Result<double> {
    if (!whole.ok()) return std::move(whole).error();
    return static_cast<double>(*whole);
  };
  switch (kind) {
    case SettingKind::kInteger: return as_number(parse_integer(text));
    case SettingKind::kDuration: return as_number(parse_duration_us(text));
    case SettingKind::kSize: return as_number(parse_size_bytes(text));
    case SettingKind::kShare: return parse_share(text);
    default: return parse_number(text);
  }
}

}  // namespace

Result<int64_t> parse_duration_us(std::string_view text) {
  constexpr std::string_view kMend = "write a whole number and a unit: 500ms, 30s, 1m, 1h or 7d";
  const auto parts = leading_integer(text);
  if (!parts) return bad(fmt::format("'{}' is not a duration", text), std::string(kMend));
  const auto [number, unit_name] = *parts;
  if (unit_name.empty()) {
    if (number == 0) return 0;
    return bad(fmt::format("the duration '{}' has no unit", text),
               fmt::format("write {}s for seconds or {}ms for milliseconds", number, number));
  }
  for (const Unit& unit : kDurationUnits) {
    if (unit.name != unit_name) continue;
    if (number < 0) return bad(fmt::format("the duration '{}' is negative", text));
    if (number > kDurationMaxUs / unit.factor)
      return bad(fmt::format("the duration '{}' is longer than 36500d", text));
    return number * unit.factor;
  }
  return bad(fmt::format("'{}' is not a duration: '{}' is not a unit of time", text, unit_name),
             std::string(kMend));
}

std::string format_duration(int64_t duration_us) {
  const Unit* best = kDurationUnits;
  for (const Unit& unit : kDurationUnits)
    if (duration_us % unit.factor == 0 && unit.name != "w") best = &unit;  // read, not written
  return fmt::format("{}{}", duration_us / best->factor, best->name);
}

Result<int64_t> parse_size_bytes(std::string_view text) {
  const auto parts = leading_integer(text);
  if (parts && parts->first >= 0) {
    const std::string_view unit_name = parts->second;
    if (unit_name.empty())
      return bad(fmt::format("the size '{}' has no unit", text),
                 fmt::format("write {}B for bytes, or KB, MB, GB", parts->first));
    for (const Unit& unit : kSizeUnits)
      if (unit.name == unit_name && parts->first <= (int64_t{1} << 60) / unit.factor)
        return parts->first * unit.factor;
  }
  return bad(fmt::format("'{}' is not a size", text),
             "write a whole number and a unit: 64KB, 1MB, 2GB (or KiB, MiB, GiB)");
}

Result<int64_t> parse_integer(std::string_view text) {
  const auto parts = leading_integer(text);
  if (!parts || !parts->second.empty())
    return bad(fmt::format("'{}' is not a whole number", text), "write digits only, such as 100");
  return parts->first;
}

Result<double> parse_number(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || stop != end || !std::isfinite(number))
    return bad(fmt::format("'{}' is not a number", text), "write a number such as 0.5 or 1e6");
  return number;
}

Result<double> parse_share(std::string_view text) {
  if (text.ends_with('%')) {
    const Result<double> percent = parse_number(text.substr(0, text.size() - 1));
    if (percent.ok() && *percent >= 0 && *percent <= 100) return *percent / 100;
  }
  return bad(fmt::format("'{}' is not a share", text), "write a percentage such as 20%");
}

Result<std::pair<int64_t, int64_t>> parse_rate(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const Result<int64_t> count = parse_integer(text.substr(0, slash));
    const Result<int64_t> per = parse_duration_us(text.substr(slash + 1));
    if (count.ok() && per.ok() && *count >= 1 && *per > 0) return std::pair{*count, *per};
  }
  return bad(fmt::format("'{}' is not a limit", text),
             "write how many in how long, such as 3/10m for three in ten minutes");
}

Result<std::pair<int64_t, int64_t>> parse_window(std::string_view text) {
  const size_t slash = text.find('/');
  QW_ASSIGN(const int64_t size, parse_duration_us(text.substr(0, slash)));
  if (size == 0) return bad(fmt::format("the window '{}' is empty", text), "a window is above 0");
  if (slash == std::string_view::npos) return std::pair<int64_t, int64_t>{size, 0};
  QW_ASSIGN(const int64_t step, parse_duration_us(text.substr(slash + 1)));
  if (step == 0 || step > size)
    return bad(fmt::format("the window '{}' moves in steps that do not fit into it", text),
               "write SIZE/STEP with the step above 0 and at most the size, such as 7d/1h");
  return std::pair{size, step};
}

Result<void> check_name(std::string_view text, SettingKind kind) {
  const bool dashes = kind == SettingKind::kName;
  const auto fits = [dashes](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || (dashes && c == '-');
  };
  if (text.empty() || text.size() > kNameLengthMax || !(is_letter(text[0]) || text[0] == '_') ||
      !std::all_of(text.begin(), text.end(), fits))
    return bad(fmt::format("'{}' cannot be a name here", text),
               fmt::format("a name begins with a letter and has letters, digits, _{}; at most {} "
                           "characters",
                           dashes ? " and -" : "", kNameLengthMax));
  if (!dashes && std::find(std::begin(kExpressionWords), std::end(kExpressionWords), lower(text)) !=
                     std::end(kExpressionWords))
    return bad(fmt::format("'{}' is a word of the expression language", text),
               fmt::format("choose another name, such as {}_", text));
  return {};
}

Result<void> check_range(const Setting& setting, std::string_view text) {
  const size_t dots = setting.allowed.find("..");
  if (dots == std::string_view::npos) return {};
  const std::string_view low = setting.allowed.substr(0, dots);
  const std::string_view high = setting.allowed.substr(dots + 2);
  QW_ASSIGN(const double value, quantity(setting.kind, text));
  QW_ASSIGN(const double least, quantity(setting.kind, low));
  if (value < least)
    return bad(fmt::format("{} is below the least, {}", text, low),
               fmt::format("allowed: {} to {}", low, high));
  QW_ASSIGN(const double most, quantity(setting.kind, high));
  if (value > most)
    return bad(fmt::format("{} is above the most, {}", text, high),
               fmt::format("allowed: {} to {}", low, high));
  return {};
}

std::string nearest(std::string_view wrong, const std::vector<std::string>& candidates) {
  const std::string from = lower(wrong);
  if (from.size() > 4 * kNameLengthMax) return {};
  size_t best = std::max<size_t>(1, (from.size() + 2) / 3) + 1;
  std::string found;
  std::vector<size_t> row;
  for (const std::string& candidate : candidates) {
    // Damerau's distance with neighbours swapped counts one: the commonest slip of fingers.
    const std::string to = lower(candidate);
    std::vector<size_t> before_last;
    std::vector<size_t> last(to.size() + 1);
    for (size_t j = 0; j <= to.size(); ++j) last[j] = j;
    for (size_t i = 1; i <= from.size(); ++i) {
      row.assign(to.size() + 1, i);
      for (size_t j = 1; j <= to.size(); ++j) {
        const size_t change = from[i - 1] == to[j - 1] ? 0 : 1;
        row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
        if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
          row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
      before_last = std::exchange(last, row);
    }
    if (last[to.size()] < best) {
      best = last[to.size()];
      found = candidate;
    }
  }
  return found;
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& candidates) {
  constexpr size_t kListed = 12;
  if (candidates.empty()) return {};
  const std::string near = nearest(wrong, candidates);
  if (!near.empty()) return fmt::format("did you mean '{}'?", near);
  std::string list;
  for (size_t i = 0; i < std::min(kListed, candidates.size()); ++i)
    list += (i == 0 ? "" : ", ") + candidates[i];
  if (candidates.size() > kListed) list += fmt::format(" and {} more", candidates.size() - kListed);
  return (candidates.size() == 1 ? "known: " : "use one of ") + list;
}

}  // namespace qw::schema
