#include "features/duration.h"

#include <fmt/format.h>

#include <limits>

#include "schema/settings.h"

namespace qw::features {

Result<int64_t> parse_duration_us(std::string_view text) {
  QW_ASSIGN(const int64_t duration_us, schema::parse_duration_us(text));
  if (duration_us > 0) return duration_us;
  return Error{ErrorCode::kBadInput, fmt::format("the duration '{}' is not above zero", text), "",
               "write one such as 30s"};
}

int64_t Window::first_inside(int64_t t) const {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  if (t < kLowest + reach_us()) return kLowest;
  return step_us == 0 ? t - length_us + 1 : floor_to(t - length_us, step_us);
}

std::string Window::to_string() const {
  const std::string length = schema::format_duration(length_us);
  return step_us == 0 ? length : length + "/" + schema::format_duration(step_us);
}

std::string Window::name() const {
  const std::string length = schema::format_duration(length_us);
  return step_us == 0 ? length : length + "_by_" + schema::format_duration(step_us);
}

Result<Window> parse_window(std::string_view text) {
  QW_ASSIGN(const auto parsed, schema::parse_window(text));
  return Window{parsed.first, parsed.second};
}

}  // namespace qw::features
