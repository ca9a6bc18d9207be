#include "app/runtime/run_clock.h"

#include <utility>

#include "base/bytes.h"
#include "schema/stored_record.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

constexpr uint8_t kRecordKind = 0x46, kRecordVersion = 1;
constexpr int64_t kMaxStepUs = 5'000'000;  // between two ticks; more is a pause
constexpr int64_t kSetUs = 5'000'000;      // a smaller step of the wall clock is a correction

}  // namespace

RunClock::RunClock(const Clock& clock, std::vector<std::string> sources)
    : clock_(clock),
      ticked_ns_(clock.monotonic_ns()),
      offset_us_(clock.wall_us() - ticked_ns_ / 1000) {
  for (std::string& name : sources) sources_.push_back({std::move(name), 0});
}

Result<void> RunClock::open(const store::Store& store) {
  QW_ASSIGN(const auto saved, store.get_meta(store::meta::kRunClock));
  if (!saved) return {};
  constexpr std::string_view kWhat = "the clock of alerts";
  QW_ASSIGN(ByteReader reader, schema::open_stored(*saved, kRecordKind, kRecordVersion, kWhat));
  ticks_ = reader.u64();
  const int64_t wall_us = reader.i64();
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
    const std::string name(reader.text());
    const int64_t quiet_us = reader.i64();
    for (Source& source : sources_)
      if (source.name == name) source.quiet_us = quiet_us;
  }
  if (!reader.done()) return schema::damaged_record(kWhat);
  // Ahead it is not told from time away.
  if (clock_.wall_us() < wall_us - kSetUs) direction_ = -1;
  return {};
}

void RunClock::tick(const std::function<bool(size_t source)>& behind) {
  const int64_t now_ns = clock_.monotonic_ns();
  const int64_t step_us = (now_ns - ticked_ns_) / 1000;
  ticked_ns_ = now_ns;
  ++ticks_;
  if (step_us > kMaxStepUs) return;
  for (size_t source = 0; source < sources_.size(); ++source)
    if (!behind(source)) sources_[source].quiet_us += step_us;
}

void RunClock::save(store::Txn& txn) {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.u64(ticks_);
  writer.i64(clock_.wall_us());
  writer.varint(sources_.size());
  for (const Source& source : sources_) {
    writer.text(source.name);
    writer.i64(source.quiet_us);
  }
  seal_record(kRecordKind, kRecordVersion, body, sealed);
  txn.put_meta(store::meta::kRunClock, sealed);
}

RunClock::Reading RunClock::read(size_t source, int64_t wall_us) {
  const int64_t now_ns = clock_.monotonic_ns();
  const int64_t offset_us = wall_us - now_ns / 1000;
  const int64_t moved_us = offset_us - std::exchange(offset_us_, offset_us);
  int8_t direction = std::exchange(direction_, int8_t{0});
  if (moved_us > kSetUs) direction = 1;
  if (moved_us < -kSetUs) direction = -1;
  return {sources_[source].quiet_us + (now_ns - ticked_ns_) / 1000, direction};
}

}  // namespace qw::app
