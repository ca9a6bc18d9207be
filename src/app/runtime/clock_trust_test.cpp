// Aim: a clock that is wrong for a while is not believed, and a right one is, in every order of
// steps, stops and witnesses that a machine may show. Method: a clock that the test sets; what is
// right is known to the test alone.
#include "app/runtime/clock_trust.h"

#include <gtest/gtest.h>

namespace qw::app {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kDayUs = 24 * kHourUs;
constexpr int64_t kYearUs = 365 * kDayUs;
constexpr int64_t kTrue = 1'700'000'000'000'000;

// A machine: right time goes on, and its clock is off by something.
struct Machine {
  ManualClock clock{kTrue};
  int64_t off_us = 0;
  void set_off(int64_t by_us) {
    clock.set_wall_us(clock.wall_us() - off_us + by_us);
    off_us = by_us;
  }
  int64_t right_us() const { return clock.wall_us() - off_us; }
};

// Looks every minute for as long.
void run(Machine& machine, ClockTrust& trust, int64_t for_us, bool events) {
  for (int64_t gone_us = 0; gone_us < for_us; gone_us += 60'000'000) {
    machine.clock.advance_us(60'000'000);
    trust.look(events ? std::optional(machine.right_us()) : std::nullopt);
  }
}

TEST(ClockTrust, AFirstStartWaitsForAWitnessOrADay) {
  Machine machine;
  ClockTrust with_events(machine.clock, ""), without(machine.clock, "");
  run(machine, with_events, 60'000'000, true);
  EXPECT_TRUE(with_events.believed());
  run(machine, without, kDayUs / 2, false);
  EXPECT_FALSE(without.believed());
  run(machine, without, kDayUs, false);
  EXPECT_TRUE(without.believed());
}

TEST(ClockTrust, AStepIsNoticedAndForgivenWhenItIsTakenBack) {
  for (const int64_t step_us : {kYearUs, -kYearUs, kHourUs, -kHourUs, int64_t{90'000'000}}) {
    for (const bool events : {false, true}) {
      Machine machine;
      ClockTrust trust(machine.clock, std::to_string(kTrue) + " 0");
      run(machine, trust, kHourUs, events);
      ASSERT_TRUE(trust.believed());
      machine.set_off(step_us);
      machine.clock.advance_us(4'000'000);
      trust.look(std::nullopt);
      EXPECT_FALSE(trust.believed()) << step_us;
      EXPECT_NEAR(static_cast<double>(trust.off_us()), static_cast<double>(step_us), 1e6);
      machine.set_off(0);
      machine.clock.advance_us(4'000'000);
      trust.look(std::nullopt);
      EXPECT_TRUE(trust.believed()) << step_us;
    }
  }
}

TEST(ClockTrust, EventsThatSaySomethingElseAreBelievedForGood) {
  Machine machine;
  ClockTrust trust(machine.clock, std::to_string(kTrue) + " 0");
  run(machine, trust, kHourUs, true);
  machine.set_off(kYearUs);
  run(machine, trust, 30 * kDayUs, true);
  EXPECT_FALSE(trust.believed()) << "a month of a wrong clock is no proof against every event";
  // A restart does not forget that.
  ClockTrust next(machine.clock, trust.saved());
  run(machine, next, 30 * kDayUs, true);
  EXPECT_FALSE(next.believed());
  machine.set_off(0);
  run(machine, next, 60'000'000, true);
  EXPECT_TRUE(next.believed());
}

TEST(ClockTrust, AgainstTheLastStart) {
  Machine machine;
  std::string saved;
  {
    ClockTrust trust(machine.clock, std::to_string(kTrue) + " 0");
    run(machine, trust, kHourUs, true);
    saved = trust.saved();
  }
  machine.clock.advance_us(kHourUs / 2);
  EXPECT_TRUE(ClockTrust(machine.clock, saved).believed()) << "half an hour away is nothing odd";
  machine.clock.advance_us(20 * kDayUs);  // away for long, and the clock is right
  ClockTrust after_long(machine.clock, saved);
  EXPECT_FALSE(after_long.believed());
  run(machine, after_long, 60'000'000, true);
  EXPECT_TRUE(after_long.believed());
  machine.set_off(-30 * kDayUs);
  EXPECT_FALSE(ClockTrust(machine.clock, saved).believed()) << "before the last start";
  EXPECT_FALSE(ClockTrust(machine.clock, "rubbish").believed());
}

TEST(ClockTrust, ASlowDriftIsNoStep) {
  Machine machine;
  ClockTrust trust(machine.clock, std::to_string(kTrue) + " 0");
  for (int hour = 0; hour < 1000; ++hour) {
    machine.set_off(machine.off_us + 5'000'000);
    run(machine, trust, kHourUs, false);
    ASSERT_TRUE(trust.believed()) << hour;
  }
}

}  // namespace
}  // namespace qw::app
