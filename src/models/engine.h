// What a model that learns while it scores looks like to the rest of the system.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qw::models {

// One value of one series. event_time_us: microseconds UTC since 1970, any int64 (also before 1970,
// also going backwards). value: NaN and infinities mean "missing".
struct Observation {
  int64_t event_time_us = 0;
  double value = 0;
};

inline constexpr size_t kMembersMax = 8;

// The answer to one observation. `score` is comparable with LearningEngine::threshold() and is 0
// for a missing value. `contributions` add up to `score`, in the order of
// LearningEngine::members().
struct Score {
  double score = 0;
  bool warm = false;     // false: too little was seen of this series to act on the score
  bool missing = false;  // the value was NaN or infinite: counted, not learned from
  float warm_up = 0;     // 0..1, how far the warm-up has come; 1 when warm
  std::array<float, kMembersMax> contributions{};
};

// A model that learns per series while it scores. It keeps nothing itself: what was learned about a
// series is one flat block of `state_bytes()` bytes that the caller owns, stores and may move at
// any time (no pointers inside). The block must be aligned to kStateAlignment.
// Owner: whoever made it. Immutable after construction.
// Threads: every call may run concurrently, as long as no two share a state block.
// Deterministic: equal observations from equal bytes give equal bytes and bit-equal scores on one
// machine. Strictly streaming: a score depends on earlier observations and this one only.
// Errors: none at run time; no allocation, no exception. A block of the wrong size is a broken
// invariant and stops the process.
class LearningEngine {
 public:
  static constexpr size_t kStateAlignment = 8;

  virtual ~LearningEngine() = default;
  virtual std::string_view kind() const = 0;
  virtual size_t state_bytes() const = 0;
  // Makes a fresh state of any bytes.
  virtual void init(std::span<std::byte> state) const = 0;
  // Learns the observation and scores it. Touches few bytes: at most one slot of each ring.
  virtual Score update_and_score(const Observation& observation,
                                 std::span<std::byte> state) const = 0;
  // Names of the members whose contributions a Score lists; at most kMembersMax.
  virtual std::span<const std::string_view> members() const = 0;
  // A score at or above it is an alarm, unless a decision names its own threshold.
  virtual double threshold() const = 0;
  // Every setting with its value, as a JSON object that settings_from_json reads back.
  virtual std::string settings_json() const = 0;

 protected:
  LearningEngine() = default;
  LearningEngine(const LearningEngine&) = default;
  LearningEngine& operator=(const LearningEngine&) = default;
};

}  // namespace qw::models
