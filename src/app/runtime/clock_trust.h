// Whether the machine's clock may be believed where believing it removes something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace qw::app {

// A clock that is set wrong for seconds must not age anything by a year. It is believed while it
// goes in step with the time that has passed, from a moment at which it was believed before. After
// a step, while running or against the last start, it is believed again when it is back in step,
// when events that others stamped are about as old as it says, or when it has gone on without a
// step for long; that last only where such events did not speak against it.
//
// One thread at a time. Look often: a step is noticed at the next look.
class ClockTrust {
 public:
  static constexpr int64_t kStepUs = 60'000'000;        // no step: less than this, while running
  static constexpr int64_t kAwayUs = 3'600'000'000;     // ... and while the program was away
  static constexpr int64_t kAgreeUs = 86'400'000'000;   // events agree: within this
  static constexpr int64_t kSteadyUs = 86'400'000'000;  // believed after as long without a step

  // `saved`: what saved() of the last start said; empty: there was none.
  ClockTrust(const Clock& clock, std::string_view saved);

  // `newest_event_us`: of all events whose time another clock gave; nothing: there are none.
  void look(std::optional<int64_t> newest_event_us);
  bool believed() const { return anchor_.has_value(); }
  // How far the clock is from what was expected, while it is not believed; 0: nothing was expected.
  int64_t off_us() const { return off_us_; }
  // For the next start. Empty: nothing is known.
  std::string saved() const;

 private:
  struct Moment {
    int64_t wall_us = 0;
    int64_t monotonic_us = 0;
  };
  Moment now() const { return {clock_.wall_us(), clock_.monotonic_ns() / 1000}; }
  void believe(const Moment& now);

  const Clock& clock_;
  std::optional<Moment> anchor_;    // when it was believed last, while it is
  std::optional<Moment> expected_;  // the same, kept when it is not
  std::optional<Moment> last_;      // the look before
  Moment steady_since_;
  int64_t agreed_us_ = 0;  // monotonic
  bool events_agree_ = false;
  int64_t off_us_ = 0;
};

}  // namespace qw::app
