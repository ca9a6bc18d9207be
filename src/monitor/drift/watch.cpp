#include "monitor/drift/watch.h"

#include <algorithm>

#include "base/bytes.h"
#include "monitor/drift/ks.h"

namespace qw::monitor {
namespace {

constexpr uint8_t kRecordKind = 0x44;
constexpr uint8_t kRecordVersion = 1;
// A reference in the making begins with slices this many times shorter than a span; they grow.
constexpr int64_t kSlicesASpan = 64;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

Error bad_setting(const char* message, const char* how_to_mend) {
  return {ErrorCode::kBadInput, message, "monitors", how_to_mend};
}

void write_look(ByteWriter& writer, const DriftLook& look) {
  writer.varint(look.number);
  writer.i64(look.at_us);
  writer.varint(look.scores);
  writer.f64(look.effective);
  writer.f64(look.distance);
  writer.f64(look.threshold);
  writer.f64(look.p_value);
  writer.u8(static_cast<uint8_t>(look.state));
}

DriftLook read_look(ByteReader& reader) {
  DriftLook look;
  look.number = reader.varint();
  look.at_us = reader.i64();
  look.scores = reader.varint();
  look.effective = reader.f64();
  look.distance = reader.f64();
  look.threshold = reader.f64();
  look.p_value = reader.f64();
  look.state = static_cast<DriftState>(reader.u8());
  return look;
}

}  // namespace

Result<void> check(const DriftPolicy& policy) {
  if (policy.every_us < 1'000'000) return bad_setting("every is below 1 s", "write every: 10m");
  if (!(policy.distance_min >= 0 && policy.distance_min <= 1))
    return bad_setting("threshold is outside 0 .. 1", "write threshold: 0.2");
  if (!(policy.alpha > 0 && policy.alpha < 1))
    return bad_setting("alpha is outside 0 .. 1", "0.01 allows one false alarm in a hundred lives");
  if (policy.reference_spans == 0) return bad_setting("the reference has no span", "4 are usual");
  return {};
}

std::string_view name_of(DriftState state) {
  switch (state) {
    case DriftState::kLearning: return "learning";
    case DriftState::kSteady: return "steady";
    case DriftState::kDrifting: return "drifting";
  }
  return "learning";
}

DriftWatch::DriftWatch(DriftPolicy policy, std::optional<schema::ScoreProfile> reference)
    : policy_(policy), reference_(std::move(reference)) {
  QW_ASSERT(check(policy_).ok());
  if (reference_) state_ = DriftState::kSteady;
}

std::optional<DriftLook> DriftWatch::add(int64_t event_time_us, bool warm, double score) {
  const int64_t span = floor_div(event_time_us, policy_.every_us);
  std::optional<DriftLook> due;
  if (!started_) {
    started_ = true;
    span_ = span;
  } else if (span > span_) {
    due = end_span();
    span_ = span;
    present_ = {};
    warm_ = cold_ = 0;
  }
  ++(warm ? warm_ : cold_);
  if (!warm) return due;
  present_.add(score);
  if (learning_) learning_->add(event_time_us, score);
  return due;
}

std::optional<DriftLook> DriftWatch::end_span() {
  if (reference_) {
    if (present_.count() < policy_.scores_min) return std::nullopt;
    return look();
  }
  if (!learning_) {
    // Warming series score as nobody does later: the reference begins when most are through.
    if (warm_ > cold_) learning_.emplace(std::max<int64_t>(1, policy_.every_us / kSlicesASpan));
    return std::nullopt;
  }
  if (present_.count() >= policy_.scores_min) ++learned_spans_;
  if (learned_spans_ < policy_.reference_spans) return std::nullopt;
  reference_ = learning_->profile();
  learning_.reset();
  state_ = DriftState::kSteady;
  return std::nullopt;
}

DriftLook DriftWatch::look() {
  const auto scores = static_cast<double>(present_.count());
  const double worth = reference_->effective / static_cast<double>(reference_->scores.count());
  DriftLook made;
  made.number = ++looks_;
  made.at_us = (span_ + 1) * policy_.every_us;
  made.scores = present_.count();
  made.effective = std::max(1.0, scores * worth);
  made.distance = ks_distance(reference_->scores, present_).at_least;
  made.p_value = ks_p_value(made.distance, reference_->effective, made.effective);
  const auto k = static_cast<double>(looks_);
  made.threshold =
      std::max(policy_.distance_min,
               ks_critical(policy_.alpha / (k * (k + 1)), reference_->effective, made.effective));
  const bool drifts = made.distance >= made.threshold;
  quiet_ = drifts ? 0 : quiet_ + 1;
  const DriftState before = state_;
  if (drifts)
    state_ = DriftState::kDrifting;
  else if (quiet_ >= policy_.steady_looks)
    state_ = DriftState::kSteady;
  made.state = state_;
  made.changed = state_ != before;
  last_ = made;
  return made;
}

void DriftWatch::save(std::string& out) const {
  std::string body;
  ByteWriter writer(body);
  writer.i64(policy_.every_us);
  writer.u8(static_cast<uint8_t>(state_));
  writer.u8(static_cast<uint8_t>((reference_ ? 1 : 0) | (learning_ ? 2 : 0) | (started_ ? 4 : 0) |
                                 (last_ ? 8 : 0)));
  if (reference_) {
    writer.f64(reference_->effective);
    reference_->scores.encode(body);
  }
  if (learning_) learning_->encode(body);
  writer.varint(learned_spans_);
  writer.i64(span_);
  present_.encode(body);
  writer.varint(warm_);
  writer.varint(cold_);
  writer.varint(looks_);
  writer.varint(quiet_);
  if (last_) write_look(writer, *last_);
  seal_record(kRecordKind, kRecordVersion, body, out);
}

Result<void> DriftWatch::restore(std::string_view bytes) {
  QW_ASSIGN(const SealedRecord record, open_record(bytes));
  const Error damaged{ErrorCode::kCorrupt, "a stored state of drift is damaged", "", ""};
  if (record.kind != kRecordKind) return damaged;
  if (record.version != kRecordVersion)
    return Error{ErrorCode::kUnsupported, "a state of drift was written by a newer Quickwater", "",
                 "start the newer version"};
  DriftWatch read(policy_);
  ByteReader head(record.body);
  if (head.i64() != policy_.every_us)
    return Error{ErrorCode::kConflict, "the state of drift was kept under another `every`", "", ""};
  read.state_ = static_cast<DriftState>(head.u8());
  const uint8_t flags = head.u8();
  if (!head.ok() || read.state_ > DriftState::kDrifting) return damaged;
  std::string_view rest = head.rest();
  if ((flags & 1) != 0) {
    ByteReader reader(rest);
    read.reference_.emplace().effective = reader.f64();
    rest = reader.rest();
    QW_ASSIGN(read.reference_->scores, schema::ScoreSketch::decode(rest));
  }
  if ((flags & 2) != 0) {
    QW_ASSIGN(read.learning_, schema::SlicedScores::decode(rest));
  }
  ByteReader middle(rest);
  read.learned_spans_ = static_cast<uint32_t>(middle.varint());
  read.span_ = middle.i64();
  rest = middle.rest();
  QW_ASSIGN(read.present_, schema::ScoreSketch::decode(rest));
  ByteReader reader(rest);
  read.started_ = (flags & 4) != 0;
  read.warm_ = reader.varint();
  read.cold_ = reader.varint();
  read.looks_ = reader.varint();
  read.quiet_ = static_cast<uint32_t>(reader.varint());
  if ((flags & 8) != 0) read.last_ = read_look(reader);
  if (!reader.done()) return damaged;
  *this = std::move(read);
  return {};
}

}  // namespace qw::monitor
