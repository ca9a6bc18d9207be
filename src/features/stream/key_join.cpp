#include "features/stream/key_join.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/result.h"
#include "features/stream/slots.h"
#include "features/stream/texts.h"
#include "features/stream/working.h"

namespace qw::features {

Seq KeyJoin::seq_in(size_t rank, Seq seq) {
  QW_ASSERT(rank < kPartitionsMost && seq.value() >> kSeqBits == 0);
  return Seq{(uint64_t{rank} << kSeqBits) | seq.value()};
}

KeyJoin::KeyJoin(const View& view) : joined_(view) {}

void KeyJoin::add(size_t rank, const KeyState& part) {
  const size_t bytes = joined_.slot_bytes_;
  for (size_t row = 0; row < part.size_; ++row) {
    const size_t at = slots_.size();
    slots_.append(part.slot(row), bytes);
    char* const slot = slots_.data() + at;
    save(slot + kSeqAt, seq_in(rank, Seq{part.seq_at(row)}).value());
    if (!part.texts_) continue;
    for (const uint32_t index : part.texts_->slots)
      if (((part.nulls_at(row) >> index) & 1) == 0)
        save(slot + kValuesAt + 8 * index,
             joined_.texts_->take(part.texts_->at(part.word_at(row, index))));
  }
  joined_.newest_pruned_ = std::max(joined_.newest_pruned_, part.newest_pruned_);
  joined_.rejected_ += part.rejected_;
  const auto in_order = [&](std::pair<int64_t, uint64_t> point) {
    // Of before format 2 only the newest time is known.
    const bool known = point.second >> kSeqBits == 0;
    return std::pair(point.first, known ? seq_in(rank, Seq{point.second}).value() : point.second);
  };
  for (const KeyState::Refused& span : part.refused_)
    joined_.note_refused({in_order(span.first), in_order(span.last)});
}

KeyState KeyJoin::finish() {
  const size_t bytes = joined_.slot_bytes_;
  const size_t rows = slots_.size() / bytes;
  struct Place {
    int64_t time;
    uint64_t seq;
    size_t at;
  };
  std::vector<Place> order;
  order.reserve(rows);
  for (size_t at = 0; at < slots_.size(); at += bytes)
    order.push_back({load<int64_t>(slots_.data() + at + kTimeAt),
                     load<uint64_t>(slots_.data() + at + kSeqAt), at});
  std::ranges::sort(order, {}, [](const Place& one) { return std::pair(one.time, one.seq); });
  if (rows > 0) joined_.resize(static_cast<uint32_t>(std::bit_ceil(std::max<size_t>(rows, 8))));
  joined_.size_ = static_cast<uint32_t>(rows);
  for (size_t row = 0; row < rows; ++row) {
    std::memcpy(joined_.slot(row), slots_.data() + order[row].at, bytes);
    joined_.max_seq_ = std::max(joined_.max_seq_, order[row].seq);
  }
  return std::move(joined_);
}

}  // namespace qw::features
