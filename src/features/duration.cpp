#include "features/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace qw::features {
namespace {

struct Unit {
  std::string_view name;
  int64_t us;
};
// Largest first: format_duration takes the first that divides. Weeks are read, not written.
constexpr Unit kUnits[] = {{"d", 86'400'000'000}, {"h", 3'600'000'000}, {"m", 60'000'000},
                           {"s", 1'000'000},      {"ms", 1'000},        {"us", 1}};
constexpr int64_t kWeekUs = 7 * 86'400'000'000;
constexpr int64_t kLongestUs = 36'525 * 86'400'000'000;

Error bad_duration(std::string_view text, std::string_view why) {
  return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a duration: {}", text, why), "",
               "write a whole number and a unit, such as 500ms, 30s, 1m, 1h or 7d"};
}

}  // namespace

Result<int64_t> parse_duration_us(std::string_view text) {
  int64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, count);
  if (number.ec != std::errc{}) return bad_duration(text, "it does not begin with a number");
  if (count <= 0) return bad_duration(text, "it must be above zero");
  const std::string_view unit(number.ptr, static_cast<size_t>(end - number.ptr));
  int64_t unit_us = unit == "w" ? kWeekUs : 0;
  for (const Unit& known : kUnits)
    if (known.name == unit) unit_us = known.us;
  if (unit_us == 0) return bad_duration(text, "the unit is none of us, ms, s, m, h, d, w");
  if (count > kLongestUs / unit_us) return bad_duration(text, "it is longer than 100 years");
  return count * unit_us;
}

std::string format_duration(int64_t duration_us) {
  for (const Unit& unit : kUnits)
    if (duration_us % unit.us == 0) return fmt::format("{}{}", duration_us / unit.us, unit.name);
  return fmt::format("{}us", duration_us);
}

int64_t Window::first_inside(int64_t t) const {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  if (t < kLowest + reach_us()) return kLowest;
  return step_us == 0 ? t - length_us + 1 : floor_to(t - length_us, step_us);
}

std::string Window::to_string() const {
  const std::string length = format_duration(length_us);
  return step_us == 0 ? length : length + "/" + format_duration(step_us);
}

std::string Window::name() const {
  const std::string length = format_duration(length_us);
  return step_us == 0 ? length : length + "_by_" + format_duration(step_us);
}

Result<Window> parse_window(std::string_view text) {
  const size_t slash = text.find('/');
  Window window;
  QW_ASSIGN(window.length_us, parse_duration_us(text.substr(0, slash)));
  if (slash == std::string_view::npos) return window;
  QW_ASSIGN(window.step_us, parse_duration_us(text.substr(slash + 1)));
  if (window.step_us > window.length_us)
    return Error{ErrorCode::kBadInput,
                 fmt::format("window '{}' moves in steps above its length", text), "",
                 "make the step at most the window, such as 7d/1h"};
  return window;
}

}  // namespace qw::features
