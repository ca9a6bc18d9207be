// KeyState as bytes: a header of fixed size, the ring's slots where they are in memory, then the
// texts in the order of their numbers.
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "features/stream/slots.h"
#include "features/stream/texts.h"
#include "features/stream/working.h"

namespace qw::features {
namespace {

constexpr uint32_t kMagic = 0x534B5751;  // "QWKS"
constexpr uint32_t kVersion = 2;         // 1: of refused events only the newest time
constexpr size_t kHeaderBytes = 80;
constexpr size_t kTextGrain = 16;

Error damaged(std::string_view what) {
  return Error{ErrorCode::kCorrupt, "a key's stored state is damaged: " + std::string(what), "",
               ""};
}

}  // namespace

void KeyState::serialize(const View& view, std::string& out) const {
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.u32(kMagic);
  writer.u32(kVersion);
  writer.u64(view.hash());
  writer.u32(slot_bytes_);
  writer.u32(capacity_);
  writer.u32(head_);
  writer.u32(size_);
  writer.u64(max_seq_);
  writer.i64(newest_pruned_);
  writer.i64(0);
  writer.u64(rejected_);
  writer.u32(texts_ ? static_cast<uint32_t>(texts_->by_id.size()) : 0);
  writer.u32(static_cast<uint32_t>(refused_.size()));
  out.resize(begin + kHeaderBytes, '\0');
  out.append(ring_);
  if (texts_)
    for (const auto& text : texts_->by_id) {
      const size_t at = out.size();
      writer.text(*text);
      out.resize(at + (out.size() - at + kTextGrain - 1) / kTextGrain * kTextGrain, '\0');
    }
  for (const Refused& span : refused_)
    for (const auto& [time, seq] : {span.first, span.last}) {
      writer.i64(time);
      writer.u64(seq);
    }
}

Result<KeyState> KeyState::parse(const View& view, std::string_view bytes) {
  ByteReader reader(bytes);
  KeyState state(view);
  if (reader.u32() != kMagic) return damaged("no magic");
  const uint32_t version = reader.u32();
  if (version == 0 || version > kVersion)
    return Error{ErrorCode::kUnsupported, "a key's state was stored by another version", "",
                 "rebuild the view from the event log"};
  if (reader.u64() != view.hash())
    return Error{ErrorCode::kConflict,
                 "a key's state was stored for another definition of view " + view.name(), "",
                 "rebuild the view from the event log"};
  if (reader.u32() != state.slot_bytes_) return damaged("slot size");
  state.capacity_ = reader.u32();
  state.head_ = reader.u32();
  state.size_ = reader.u32();
  state.max_seq_ = reader.u64();
  state.newest_pruned_ = reader.i64();
  const int64_t newest_refused = reader.i64();
  state.rejected_ = reader.u64();
  const uint32_t texts = reader.u32();
  const uint32_t refused = version == 1 ? 0 : reader.u32();
  constexpr int64_t kNone = std::numeric_limits<int64_t>::min();
  if (version == 1 && newest_refused != kNone)
    state.refused_.push_back({{kNone, 0}, {newest_refused, ReadPoint::kEverySeq}});
  const bool empty = state.capacity_ == 0;
  if (!reader.ok() || (!empty && !std::has_single_bit(state.capacity_)) ||
      state.size_ > state.capacity_ || (!empty && state.head_ >= state.capacity_))
    return damaged("header");
  if (bytes.size() < kHeaderBytes) return damaged("too short");
  ByteReader body(bytes.substr(kHeaderBytes));
  state.ring_ = body.take(uint64_t{state.capacity_} * state.slot_bytes_);
  if (!body.ok()) return damaged("too short");
  if (texts > body.rest().size()) return damaged("text count");
  for (uint32_t id = 0; id < texts; ++id) {
    const size_t before = body.rest().size();
    const std::string_view text = body.text();
    const size_t used = before - body.rest().size();
    body.take((kTextGrain - used % kTextGrain) % kTextGrain);
    if (!body.ok() || !state.texts_) return damaged("texts");
    state.texts_->append(text, 0);
  }
  if (refused > kRefusedMost) return damaged("refused events");
  for (uint32_t span = 0; span < refused; ++span) {
    Refused& one = state.refused_.emplace_back();
    for (auto* const end : {&one.first, &one.last}) {
      end->first = body.i64();
      end->second = body.u64();
    }
  }
  if (!body.ok()) return damaged("refused events");
  if (!state.recount_texts()) return damaged("text number");
  return state;
}

// Uses follow from the slots, so they are not stored.
bool KeyState::recount_texts() {
  if (!texts_) return true;
  for (size_t i = 0; i < size_; ++i) {
    const uint64_t nulls = nulls_at(i);
    for (const uint32_t index : texts_->slots) {
      if (((nulls >> index) & 1) != 0) continue;
      const auto id = static_cast<uint64_t>(word_at(i, index));
      if (id >= texts_->uses.size()) return false;
      ++texts_->uses[id];
    }
  }
  for (uint32_t id = 0; id < texts_->uses.size(); ++id) {
    if (texts_->uses[id] == 0) texts_->free_ids.push_back(id);
    texts_->ids.emplace(*texts_->by_id[id], id);
  }
  return true;
}

}  // namespace qw::features
