// The only file that reads the machine's clocks and randomness.
#include <cstdlib>
#include <ctime>
#include <random>

#include "base/env.h"

namespace qw {
namespace {

int64_t read_ns(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// QUICKWATER_CLOCK_AHEAD_S: the wall clock is ahead by so many seconds, for tests of time away.
int64_t ahead_us() {
  const char* const seconds = std::getenv("QUICKWATER_CLOCK_AHEAD_S");
  return seconds == nullptr ? 0 : std::atoll(seconds) * 1'000'000;
}

class RealClock final : public Clock {
 public:
  int64_t wall_us() const override { return read_ns(CLOCK_REALTIME) / 1000 + ahead_us_; }
  int64_t monotonic_ns() const override { return read_ns(CLOCK_MONOTONIC); }
  void sleep_us(int64_t duration_us) const override {
    if (duration_us <= 0) return;
    timespec wait{duration_us / 1'000'000, (duration_us % 1'000'000) * 1000};
    while (nanosleep(&wait, &wait) != 0) {
    }
  }

 private:
  const int64_t ahead_us_ = ahead_us();
};

}  // namespace

const Clock& real_clock() {
  static const RealClock clock;
  return clock;
}

uint64_t entropy_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) ^ device();
}

}  // namespace qw
