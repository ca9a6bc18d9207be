#include "serve/warm_up.h"

#include <fmt/format.h>

namespace qw::serve {
namespace {

constexpr size_t kRecordsAtOnce = 2048;              // between two looks at the stop token
constexpr size_t kDirtyBytesMax = size_t{16} << 20;  // learned and not checkpointed yet
constexpr int64_t kRoomUs = 100'000;

Error stopped() { return {ErrorCode::kUnavailable, "the application is stopping", "warm-up", ""}; }

}  // namespace

WarmUp::WarmUp(const store::Store& store, store::Lane& lane, ModelSlot& slot, int64_t version,
               std::shared_ptr<const models::LearningEngine> engine, const Clock& clock)
    : store_(store),
      history_(store),
      lane_(lane),
      slot_(slot),
      clock_(clock),
      version_(
          std::make_unique<LearningVersion>(store, slot.options(), version, std::move(engine))) {}

WarmUp::~WarmUp() {
  const auto held = lane_.hold();
  slot_.tap(nullptr);
}

// A stream's table, going on where an earlier warm-up of this version left it.
Result<void> WarmUp::ensure(PartitionId stream) {
  if (learned_.contains(stream)) return {};
  QW_ASSIGN(const Seq low, store::stored_low_water(store_, version_->owner(), stream));
  QW_TRY(version_->add_stream(stream).finish_recovery(clock_.monotonic_ns() / 1000));
  learned_[stream] = low;
  return {};
}

Result<size_t> WarmUp::replay(const std::stop_token& stop) {
  QW_TRY(claim(stop));
  std::map<PartitionId, Seq> streams;
  {
    const auto held = lane_.hold();
    streams = slot_.streams();
  }
  uint64_t known = 0;
  for (const auto& [stream, last] : streams) known += last.value();
  known_ = known;
  size_t records = 0;
  for (const auto& [stream, last] : streams) {
    QW_TRY(ensure(stream));
    QW_ASSIGN(const size_t read, replay_stream(stream, last, stop));
    records += read;
  }
  return records;
}

// Up to `until`, or as far as it is durable.
Result<size_t> WarmUp::replay_stream(PartitionId stream, Seq until, const std::stop_token& stop) {
  size_t records = 0;
  while (learned_[stream] < until) {
    if (stop.stop_requested()) return stopped();
    const int64_t began_ns = clock_.monotonic_ns();
    size_t read = 0;
    Result<void> learned;
    QW_TRY(history_.scan(store::Log::kDecisions, stream, next(learned_[stream]), next(until),
                         [&](Seq seq, std::string_view bytes) {
                           const auto record = schema::decode_decision(bytes);
                           if (!record.ok()) {
                             learned = record.error();
                             return false;
                           }
                           learned = learn_stored(stream, seq, *record);
                           learned_[stream] = seq;
                           return learned.ok() && ++read < kRecordsAtOnce;
                         }));
    QW_TRY(learned);
    records += read;
    measure();
    if (read == 0) break;  // the rest is not durable yet
    QW_TRY(checkpoint_if_many());
    // Half a core at the most: live events come first. A thread of low priority would hold the
    // lane for too long when others keep it from the processor.
    if (read == kRecordsAtOnce) clock_.sleep_us((clock_.monotonic_ns() - began_ns) / 1000);
  }
  return records;
}

Result<void> WarmUp::learn_stored(PartitionId stream, Seq seq,
                                  const schema::DecisionRecord& record) {
  QW_ASSIGN(const auto observation, version_->observation_in(record));
  if (!observation) return {};
  QW_TRY(version_->score(stream, record.key, seq, clock_.monotonic_ns() / 1000, *observation));
  return {};
}

// Whatever an earlier version of that number left, but of another kind, goes first.
Result<void> WarmUp::claim(const std::stop_token& stop) {
  if (claimed_) return {};
  // The end of what an earlier one left may be on its way to disk.
  QW_TRY(lane_.wait_durable(stop));
  bool anew = false;
  {
    const auto held = lane_.hold();
    QW_ASSIGN(anew, slot_.stage_definition(*version_, lane_.open().txn));
  }
  if (anew) QW_TRY(lane_.wait_durable(stop));
  claimed_ = true;
  return {};
}

void WarmUp::measure() {
  uint64_t read = 0;
  for (const auto& [stream, last] : learned_) read += last.value();
  read_ = read;
}

// Keeps what only memory knows within a limit, a small piece a commit.
Result<void> WarmUp::checkpoint_if_many() {
  const auto dirty = [&] {
    size_t states = 0;
    for (const auto& [stream, table] : version_->tables()) states += table->stats().dirty;
    return states * version_->engine().state_bytes();
  };
  while (dirty() > kDirtyBytesMax) {
    lane_.give_way();
    auto held = lane_.hold();
    if (!held.wait_for_room(kRoomUs)) return {};  // a full disk: later
    QW_TRY(slot_.checkpoint(*version_, learned_));
  }
  return {};
}

void WarmUp::tap() {
  tap_ = DecisionTap();
  tapped_ = slot_.streams();
  slot_.tap(&tap_);
}

Result<void> WarmUp::bridge(const std::stop_token& stop) {
  for (const auto& [stream, last] : tapped_) {
    QW_TRY(ensure(stream));
    QW_TRY(replay_stream(stream, last, stop));
  }
  return {};
}

Result<void> WarmUp::learn(const std::vector<TappedDecision>& decisions) {
  for (const TappedDecision& one : decisions) {
    QW_TRY(ensure(one.stream));
    QW_TRY(version_->score(one.stream, one.key, one.seq, clock_.monotonic_ns() / 1000,
                           one.observation));
    learned_[one.stream] = one.seq;
  }
  return {};
}

Result<size_t> WarmUp::drain() {
  std::vector<TappedDecision> taken;
  {
    const auto held = lane_.hold();
    if (tap_.full)
      return Error{ErrorCode::kExhausted, "more was decided than could be put aside", "warm-up",
                   ""};
    std::swap(taken, tap_.decisions);
  }
  QW_TRY(learn(taken));
  return taken.size();
}

Result<void> WarmUp::finish() {
  if (tap_.full)
    return Error{ErrorCode::kExhausted, "more was decided than could be put aside", "warm-up", ""};
  QW_TRY(learn(tap_.decisions));
  tap_.decisions.clear();
  slot_.tap(nullptr);
  for (const auto& [stream, last] : slot_.streams()) QW_TRY(ensure(stream));
  return {};
}

}  // namespace qw::serve
