// How far the event time of one partition has come. docs/adr/0004-watermark.md says why so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace qw::streams {

// Where an event lies, seen from the watermark before it.
enum class Lateness : uint8_t { kNone, kBehind, kBeyond };  // kBeyond: by more than is allowed

// The watermark follows the newest event, but
// - never past an event's arrival: a sender whose clock is ahead moves it no further than now;
// - a leap of more than kFarUs (or the allowed lateness, if that is more) is believed at once only
//   when it ends near the arrival, else once kAgreeing events in a row lie as far ahead: then it
//   goes to the least of them;
// - the first events are believed for the time being: one that is as far behind takes the watermark
//   back to itself, until kAgreeing agreed.
// So a few wrong clocks cost nobody else anything, and nothing is held back.
//
// Deterministic; a value. One thread.
class Watermark {
 public:
  static constexpr int64_t kFarUs = 60'000'000;
  static constexpr uint32_t kAgreeing = 32;

  // `live`: events arrive when they happen, so that the clock vouches for them. History that is
  // read has an arrival (it may not lie ahead of the clock either) but not that witness.
  Lateness pass(int64_t time_us, int64_t arrived_us, bool live, int64_t allowed_us);

  // Before the first event: the least int64.
  int64_t value_us() const { return value_us_; }
  // Moves it without an event; never back.
  void raise(int64_t to_us) { value_us_ = std::max(value_us_, to_us); }
  // False while an event may still take it back.
  bool settled() const { return agreed_ >= kAgreeing; }

  void write(ByteWriter& writer) const;
  void read(ByteReader& reader);
  // As it was written before leaps were doubted.
  static Watermark settled_at(int64_t value_us);

  friend bool operator==(const Watermark&, const Watermark&) = default;

 private:
  bool believes(int64_t candidate_us, bool near, int64_t far_us);

  int64_t value_us_ = INT64_MIN;
  uint32_t agreed_ = 0;                 // events near the watermark, up to kAgreeing
  uint32_t ahead_ = 0;                  // events in a row far ahead of it
  int64_t least_ahead_us_ = INT64_MAX;  // of those
};

}  // namespace qw::streams
