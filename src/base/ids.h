// Strong ids and times: numbers that must not be mixed are different types.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace qw {

// A number with a meaning. Tag makes each use its own type; `.value()` is the only way out.
template <class Tag, class Number>
class StrongNumber {
 public:
  using NumberType = Number;
  constexpr StrongNumber() = default;
  constexpr explicit StrongNumber(Number number) : number_(number) {}
  constexpr Number value() const { return number_; }
  friend constexpr auto operator<=>(StrongNumber, StrongNumber) = default;

 private:
  Number number_{};
};

// A partition of a source within this application (dense, chosen when the application is compiled).
using PartitionId = StrongNumber<struct PartitionTag, uint32_t>;
// The position of a record in its partition's log: 1 or more, strictly growing, gaps allowed (a
// replayable source gives its own positions, so that every owner of the partition gives an event
// the same one); 0 means "before the first".
using Seq = StrongNumber<struct SeqTag, uint64_t>;
// Microseconds since 1970 UTC at which the event happened, as the event says.
using EventTime = StrongNumber<struct EventTimeTag, int64_t>;
// Microseconds since 1970 UTC at which this system learnt of the event.
using KnownAt = StrongNumber<struct KnownAtTag, int64_t>;

constexpr Seq next(Seq seq) { return Seq{seq.value() + 1}; }

}  // namespace qw

template <class Tag, class Number>
struct std::hash<qw::StrongNumber<Tag, Number>> {
  size_t operator()(qw::StrongNumber<Tag, Number> number) const noexcept {
    return std::hash<Number>{}(number.value());
  }
};
