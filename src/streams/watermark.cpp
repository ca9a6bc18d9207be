#include "streams/watermark.h"

namespace qw::streams {
namespace {

int64_t saturating_sub(int64_t a, int64_t b) {
  int64_t out = 0;
  if (__builtin_sub_overflow(a, b, &out)) return b > 0 ? INT64_MIN : INT64_MAX;
  return out;
}

}  // namespace

Lateness Watermark::pass(int64_t time_us, int64_t arrived_us, bool live, int64_t allowed_us) {
  const int64_t candidate_us = std::min(time_us, arrived_us);
  const int64_t far_us = std::max(kFarUs, allowed_us);
  const bool near = live && saturating_sub(arrived_us, candidate_us) <= far_us;
  if (!believes(candidate_us, near, far_us)) return Lateness::kNone;
  if (time_us < saturating_sub(value_us_, allowed_us)) return Lateness::kBeyond;
  if (time_us < value_us_) return Lateness::kBehind;
  value_us_ = std::max(value_us_, candidate_us);
  return Lateness::kNone;
}

// Whether the event may move the watermark, and be judged by it.
bool Watermark::believes(int64_t candidate_us, bool near, int64_t far_us) {
  const bool first = value_us_ == INT64_MIN;
  const bool taken_back = agreed_ < kAgreeing && candidate_us < saturating_sub(value_us_, far_us);
  if (first || taken_back) {
    value_us_ = candidate_us;
    agreed_ = near ? kAgreeing : 1;
    ahead_ = 0;
    return true;
  }
  if (near || saturating_sub(candidate_us, value_us_) <= far_us) {
    ahead_ = 0;
    const bool close = saturating_sub(value_us_, candidate_us) <= far_us;
    if (near)
      agreed_ = kAgreeing;
    else if (close && agreed_ < kAgreeing)
      ++agreed_;
    return true;
  }
  least_ahead_us_ = ahead_ == 0 ? candidate_us : std::min(least_ahead_us_, candidate_us);
  if (++ahead_ < kAgreeing) return false;
  value_us_ = least_ahead_us_;
  agreed_ = kAgreeing;
  ahead_ = 0;
  return false;
}

void Watermark::write(ByteWriter& writer) const {
  writer.i64(value_us_);
  writer.u32(agreed_);
  writer.u32(ahead_);
  writer.i64(least_ahead_us_);
}

void Watermark::read(ByteReader& reader) {
  value_us_ = reader.i64();
  agreed_ = reader.u32();
  ahead_ = reader.u32();
  least_ahead_us_ = reader.i64();
}

Watermark Watermark::settled_at(int64_t value_us) {
  Watermark made;
  made.value_us_ = value_us;
  made.agreed_ = kAgreeing;
  return made;
}

}  // namespace qw::streams
