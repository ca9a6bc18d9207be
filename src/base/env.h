// The seams to the world: time and randomness enter through these, so that a simulator can own
// them.
#pragma once

#include <cstdint>
#include <memory>

namespace qw {

// Tells time. Implementations are safe to call from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970 UTC. May jump in either direction when the machine's clock is set.
  virtual int64_t wall_us() const = 0;
  // Nanoseconds since some fixed moment. Never goes back.
  virtual int64_t monotonic_ns() const = 0;
  // Blocks the calling thread for about this long (returns at once for 0 or less).
  virtual void sleep_us(int64_t duration_us) const = 0;
};

// The machine's own clock. Lives for the whole process.
const Clock& real_clock();

// A clock that stands still until told; for tests and replays. Not for concurrent advancing.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_us = 0) : wall_us_(wall_us) {}
  int64_t wall_us() const override { return wall_us_; }
  int64_t monotonic_ns() const override { return monotonic_ns_; }
  void sleep_us(int64_t duration_us) const override {
    const_cast<ManualClock*>(this)->advance_us(duration_us);
  }
  void advance_us(int64_t duration_us) {
    wall_us_ += duration_us;
    monotonic_ns_ += duration_us * 1000;
  }
  // The wall clock is set; monotonic time goes on.
  void set_wall_us(int64_t wall_us) { wall_us_ = wall_us; }

 private:
  int64_t wall_us_;
  int64_t monotonic_ns_ = 0;
};

// A seeded generator (splitmix64): the same seed gives the same numbers everywhere. One thread at a
// time.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next_u64() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) { return next_u64() % bound; }
  // Uniform in [0, 1).
  double uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

// A seed that differs from start to start (tokens, jitter; never for decisions).
uint64_t entropy_seed();

}  // namespace qw
