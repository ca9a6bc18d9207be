#include "features/stream/value_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

namespace qw::features {

int64_t SlotWords::operator()(uint32_t slot) const {
  int64_t word = 0;
  std::memcpy(&word, ring + slot * slot_bytes, sizeof word);
  return word;
}

DistinctIndex::DistinctIndex(size_t capacity)
    : mask_(static_cast<uint32_t>(capacity - 1)), last_((capacity + 63) / 64), table_(16) {}

size_t DistinctIndex::bytes() const {
  return sizeof *this + last_.capacity() * sizeof(uint64_t) + table_.capacity() * sizeof(uint32_t);
}

void DistinctIndex::set(uint32_t slot, bool on) {
  const uint64_t bit = uint64_t{1} << (slot % 64);
  if (on)
    last_[slot / 64] |= bit;
  else
    last_[slot / 64] &= ~bit;
}

size_t DistinctIndex::home(int64_t word) const {
  auto hash = static_cast<uint64_t>(word) * 0x9E3779B97F4A7C15;
  hash ^= hash >> 32;
  return (hash * 0x9E3779B97F4A7C15 >> 32) & (table_.size() - 1);
}

// Where the value is, or where it would be.
size_t DistinctIndex::find(int64_t word, const SlotWords& words) const {
  size_t at = home(word);
  while (table_[at] != 0 && words(table_[at] - 1) != word) at = (at + 1) & (table_.size() - 1);
  return at;
}

// By slot, not by value: other slots' words have moved already.
void DistinctIndex::move(uint32_t from, uint32_t to, const SlotWords& words) {
  const bool last = get(from);
  set(to, last);
  if (!last) return;
  size_t at = home(words(to));
  while (table_[at] != from + 1) at = (at + 1) & (table_.size() - 1);
  table_[at] = to + 1;
}

void DistinctIndex::inserted(uint32_t slot, bool has_value, size_t later, const SlotWords& words) {
  for (size_t step = later; step > 0; --step) {
    const uint32_t to = (slot + static_cast<uint32_t>(step)) & mask_;
    move((to - 1) & mask_, to, words);
  }
  set(slot, false);
  if (!has_value) return;
  if ((used_ + 1) * 2 > table_.size()) grow(words);
  uint32_t& there = table_[find(words(slot), words)];
  if (there == 0) {
    ++used_;
  } else {
    if (((there - 1 - slot) & mask_) <= later) return;  // it comes again
    set(there - 1, false);
  }
  there = slot + 1;
  set(slot, true);
}

void DistinctIndex::drop(uint32_t slot, const SlotWords& words) {
  if (!get(slot)) return;
  set(slot, false);
  --used_;
  size_t hole = home(words(slot));
  const size_t mask = table_.size() - 1;
  while (table_[hole] != slot + 1) hole = (hole + 1) & mask;
  // What was put further on because of it comes nearer to its home.
  for (size_t at = (hole + 1) & mask; table_[at] != 0; at = (at + 1) & mask) {
    const size_t wanted = home(words(table_[at] - 1));
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = 0;
}

void DistinctIndex::grow(const SlotWords& words) {
  std::vector<uint32_t> old(table_.size() * 2);
  std::swap(old, table_);
  for (const uint32_t entry : old)
    if (entry != 0) table_[find(words(entry - 1), words)] = entry;
}

int64_t DistinctIndex::count(size_t begin, size_t end) const {
  const auto bits = [this](size_t from, size_t to) {
    int64_t count = 0;
    while (from < to) {
      const size_t most = std::min(64 - from % 64, to - from);
      const uint64_t some = last_[from / 64] >> (from % 64);
      count += std::popcount(most == 64 ? some : some & ((uint64_t{1} << most) - 1));
      from += most;
    }
    return count;
  };
  const size_t slots = size_t{mask_} + 1;
  if (begin >= slots) return bits(begin - slots, end - slots);
  if (end <= slots) return bits(begin, end);
  return bits(begin, slots) + bits(0, end - slots);
}

namespace {

// Rows are counted modulo 2^32, but never so many at once.
bool before(const RankIndex::Entry& a, const RankIndex::Entry& b, uint32_t oldest) {
  return std::tuple(a.value, a.row - oldest) < std::tuple(b.value, b.row - oldest);
}

auto row_at(auto& rows, uint32_t row, uint32_t oldest) {
  return std::ranges::lower_bound(rows, row - oldest, {},
                                  [oldest](uint32_t one) { return one - oldest; });
}

}  // namespace

RankIndex::RankIndex(std::vector<Entry> entries, uint32_t oldest) {
  std::ranges::sort(entries, [&](const Entry& a, const Entry& b) { return before(a, b, oldest); });
  for (size_t at = 0; at < entries.size(); at += kChunkEntries / 2)
    chunks_.push_back(make_chunk(
        std::span(entries).subspan(at, std::min(kChunkEntries / 2, entries.size() - at)), oldest));
}

RankIndex::Chunk RankIndex::make_chunk(std::span<const Entry> entries, uint32_t oldest) {
  Chunk chunk;
  chunk.entries.reserve(kChunkEntries);
  chunk.rows.reserve(kChunkEntries);
  bytes_ += kChunkEntries * (sizeof(Entry) + sizeof(uint32_t));
  chunk.entries.assign(entries.begin(), entries.end());
  for (const Entry& entry : entries) chunk.rows.push_back(entry.row);
  std::ranges::sort(chunk.rows, {}, [oldest](uint32_t row) { return row - oldest; });
  return chunk;
}

// The last whose first entry is not after this one, or the first.
size_t RankIndex::chunk_of(const Entry& entry, uint32_t oldest) const {
  const auto after = std::ranges::partition_point(
      chunks_, [&](const Chunk& chunk) { return !before(entry, chunk.entries.front(), oldest); });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

void RankIndex::split(size_t at, uint32_t oldest) {
  const std::vector<Entry> all = std::move(chunks_[at].entries);
  bytes_ -= kChunkEntries * (sizeof(Entry) + sizeof(uint32_t));
  const std::span<const Entry> entries(all);
  chunks_[at] = make_chunk(entries.first(all.size() / 2), oldest);
  Chunk second = make_chunk(entries.subspan(all.size() / 2), oldest);
  chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(at) + 1, std::move(second));
}

void RankIndex::insert(const Entry& entry, uint32_t oldest) {
  if (chunks_.empty()) {
    chunks_.push_back(make_chunk(std::span(&entry, 1), oldest));
    return;
  }
  size_t at = chunk_of(entry, oldest);
  if (chunks_[at].entries.size() == kChunkEntries) {
    split(at, oldest);
    at = chunk_of(entry, oldest);
  }
  Chunk& chunk = chunks_[at];
  const auto place = std::ranges::partition_point(
      chunk.entries, [&](const Entry& one) { return before(one, entry, oldest); });
  chunk.entries.insert(place, entry);
  chunk.rows.insert(row_at(chunk.rows, entry.row, oldest), entry.row);
}

void RankIndex::erase(const Entry& entry, uint32_t oldest) {
  const size_t at = chunk_of(entry, oldest);
  Chunk& chunk = chunks_[at];
  chunk.entries.erase(std::ranges::partition_point(
      chunk.entries, [&](const Entry& one) { return before(one, entry, oldest); }));
  chunk.rows.erase(row_at(chunk.rows, entry.row, oldest));
  // Those that run empty are put together with the next.
  const bool alone = at + 1 == chunks_.size();
  const size_t next = alone ? 0 : chunks_[at + 1].entries.size();
  if (!chunk.entries.empty() && (alone || chunk.entries.size() + next > kChunkEntries / 4)) return;
  if (!chunk.entries.empty()) {
    std::vector<Entry> all = std::move(chunk.entries);
    all.insert(all.end(), chunks_[at + 1].entries.begin(), chunks_[at + 1].entries.end());
    chunks_[at + 1] = make_chunk(all, oldest);
    bytes_ -= kChunkEntries * (sizeof(Entry) + sizeof(uint32_t));
  }
  chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(at));
  bytes_ -= kChunkEntries * (sizeof(Entry) + sizeof(uint32_t));
}

void RankIndex::shift(uint32_t row, uint32_t oldest) {
  for (Chunk& chunk : chunks_) {
    for (Entry& entry : chunk.entries) entry.row += entry.row - oldest >= row - oldest ? 1 : 0;
    for (uint32_t& one : chunk.rows) one += one - oldest >= row - oldest ? 1 : 0;
  }
}

RankIndex::Ranked RankIndex::at(size_t rank, uint32_t begin, uint32_t end, uint32_t oldest) const {
  Ranked found;
  bool has_value = false;
  for (const Chunk& chunk : chunks_) {
    if (!has_value) {
      const auto first = chunk.rows.front() - oldest >= begin - oldest
                             ? chunk.rows.begin()
                             : row_at(chunk.rows, begin, oldest);
      const auto last = chunk.rows.back() - oldest < end - oldest ? chunk.rows.end()
                                                                  : row_at(chunk.rows, end, oldest);
      const auto inside = static_cast<size_t>(last - first);
      if (inside <= rank) {
        rank -= inside;
        continue;
      }
    }
    for (const Entry& entry : chunk.entries) {
      if (entry.row - oldest < begin - oldest || entry.row - oldest >= end - oldest) continue;
      if (has_value) {
        found.next = entry.value;
        return found;
      }
      if (rank-- > 0) continue;
      found.value = entry.value;
      has_value = true;
    }
  }
  return found;
}

}  // namespace qw::features
