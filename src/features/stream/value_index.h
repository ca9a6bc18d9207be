// Which values of an argument are the last of their kind, and the order of all of them: for
// count_distinct and quantile, which no summaries of blocks can be put together to.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qw::features {

// The words of one argument in the ring, by slot. Views of the ring as it is now.
struct SlotWords {
  const char* ring = nullptr;  // the argument's word in the first slot
  size_t slot_bytes = 0;
  int64_t operator()(uint32_t slot) const;
};

// All windows of a read of the newest rows end at the newest one, so each holds as many different
// values as it has rows whose value does not come again. A bit for each slot says which those are.
// Owned by a state, under its lock.
class DistinctIndex {
 public:
  // `capacity` slots, a power of two.
  explicit DistinctIndex(size_t capacity);
  // A row came to be at `slot`; the `later` rows after it were a slot lower before. `words` are
  // those of after the move.
  void inserted(uint32_t slot, bool has_value, size_t later, const SlotWords& words);
  // The oldest row, with a value, is about to leave.
  void drop(uint32_t slot, const SlotWords& words);
  // Rows of the unwound ring: how many in [begin, end) are the last of their kind.
  int64_t count(size_t begin, size_t end) const;
  size_t bytes() const;

 private:
  bool get(uint32_t slot) const { return ((last_[slot / 64] >> (slot % 64)) & 1) != 0; }
  void set(uint32_t slot, bool on);
  void move(uint32_t from, uint32_t to, const SlotWords& words);
  size_t home(int64_t word) const;
  size_t find(int64_t word, const SlotWords& words) const;
  void grow(const SlotWords& words);

  const uint32_t mask_;
  std::vector<uint64_t> last_;   // a bit for each slot
  std::vector<uint32_t> table_;  // by hash of the value: its last slot + 1; 0 is free
  size_t used_ = 0;
};

// Numbers in order, each with its row, in chunks: what is to be found is found by binary search in
// each chunk. Rows are counted on and on, modulo 2^32. Owned by a state, under its lock.
class RankIndex {
 public:
  struct Entry {
    double value = 0;
    uint32_t row = 0;
  };
  explicit RankIndex(std::vector<Entry> entries, uint32_t oldest);
  void insert(const Entry& entry, uint32_t oldest);
  void erase(const Entry& entry, uint32_t oldest);
  // Rows from `row` on come one later.
  void shift(uint32_t row, uint32_t oldest);
  // The value of that rank among the rows [begin, end), and the next one if there is one.
  struct Ranked {
    double value = 0;
    std::optional<double> next;
  };
  Ranked at(size_t rank, uint32_t begin, uint32_t end, uint32_t oldest) const;
  size_t chunks() const { return chunks_.size(); }
  size_t bytes() const { return sizeof *this + chunks_.capacity() * sizeof(Chunk) + bytes_; }

 private:
  static constexpr size_t kChunkEntries = 128;
  struct Chunk {
    std::vector<Entry> entries;  // by value, then by row
    std::vector<uint32_t> rows;  // by row
  };
  size_t chunk_of(const Entry& entry, uint32_t oldest) const;
  Chunk make_chunk(std::span<const Entry> entries, uint32_t oldest);
  void split(size_t at, uint32_t oldest);

  std::vector<Chunk> chunks_;
  size_t bytes_ = 0;
};

}  // namespace qw::features
