#include "base/time_text.h"

#include <fmt/format.h>

#include <chrono>

namespace qw {

std::string format_time(int64_t time_us) {
  constexpr int64_t kSecondUs = 1'000'000, kDayUs = 86'400 * kSecondUs;
  int64_t days = time_us / kDayUs;
  int64_t rest = time_us % kDayUs;
  if (rest < 0) {
    rest += kDayUs;
    --days;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  const int64_t seconds = rest / kSecondUs;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     seconds / 3'600, seconds / 60 % 60, seconds % 60, rest % kSecondUs);
}

}  // namespace qw
