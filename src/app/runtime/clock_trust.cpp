#include "app/runtime/clock_trust.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace qw::app {

ClockTrust::ClockTrust(const Clock& clock, std::string_view saved) : clock_(clock) {
  steady_since_ = now();
  agreed_us_ = steady_since_.monotonic_us;
  long long wall_us = 0;
  int agreed = 0;
  if (std::sscanf(std::string(saved).c_str(), "%lld %d", &wall_us, &agreed) != 2) return;
  events_agree_ = agreed != 0;
  off_us_ = steady_since_.wall_us - wall_us;
  if (off_us_ >= -kStepUs && off_us_ <= kAwayUs)
    believe(steady_since_);
  else
    expected_ = Moment{wall_us, steady_since_.monotonic_us};
}

void ClockTrust::believe(const Moment& now) {
  anchor_ = expected_ = now;
  off_us_ = 0;
}

void ClockTrust::look(std::optional<int64_t> newest_event_us) {
  const Moment at = now();
  const auto away_from = [&at](const Moment& from) {
    return (at.wall_us - from.wall_us) - (at.monotonic_us - from.monotonic_us);
  };
  if (last_ && std::abs(away_from(*last_)) > kStepUs) steady_since_ = at;
  last_ = at;
  const bool agrees = newest_event_us && std::abs(at.wall_us - *newest_event_us) <= kAgreeUs;
  const bool in_step = expected_ && std::abs(away_from(*expected_)) <= kStepUs;
  const bool steady = at.monotonic_us - steady_since_.monotonic_us >= kSteadyUs;
  if (in_step || agrees || (steady && !events_agree_)) {
    believe(at);
  } else {
    anchor_.reset();
    off_us_ = expected_ ? away_from(*expected_) : 0;
  }
  if (agrees) agreed_us_ = at.monotonic_us;
  // What is watched may change: events of long ago, or none any more.
  if (believed())
    events_agree_ = at.monotonic_us - agreed_us_ < kSteadyUs && (events_agree_ || agrees);
}

std::string ClockTrust::saved() const {
  if (!expected_) return {};
  const int64_t wall_us = expected_->wall_us + now().monotonic_us - expected_->monotonic_us;
  return fmt::format("{} {}", wall_us, events_agree_ ? 1 : 0);
}

}  // namespace qw::app
