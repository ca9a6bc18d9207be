// What a key's state keeps beside its rows, so that a read need not look at all of them.
#pragma once

#include <memory>
#include <vector>

#include "features/stream/key_state.h"
#include "features/stream/value_index.h"

namespace qw::features {

// Summaries of the ring's blocks of 8, 16, 32, ... slots, of each argument and kind. A block has
// one once all its rows are there; nothing is done to it when they leave, it is only not asked any
// more. Rows are meant by their place in the unwound ring: head + index.
struct KeyState::Working {
  static constexpr size_t kFirstLevel = 3;  // blocks of 2^3 rows
  // Fewer rows are read as fast without.
  static constexpr size_t kRowsFrom = 64;
  static constexpr size_t kRowsUntil = 32;

  Working(const KeyState& state, ViewWorker& worker);
  // A row came to be at `index`; those after it moved.
  void inserted(const KeyState& state, ViewWorker& worker, size_t index);
  // The oldest row is about to leave.
  void dropping(const KeyState& state);

  // The number of a block of 2^level rows, the `nth` of the unwound ring.
  size_t number(size_t level, size_t nth) const {
    return (capacity_ >> (kFirstLevel - 1)) - (capacity_ >> (level - 1)) +
           (nth & ((capacity_ >> level) - 1));
  }
  // The blocks and the runs of rows that [begin, end) of the unwound ring is made of.
  void take_apart(size_t begin, size_t end, std::vector<uint32_t>& blocks,
                  std::vector<std::pair<uint32_t, uint32_t>>& runs) const;
  // How many values of the argument the largest blocks have that begin or end at `place` and lie
  // within [begin, end), as long as they are fewer than `most`: those rows can be passed over.
  struct Stretch {
    size_t rows = 0;
    size_t values = 0;
  };
  Stretch stretch(size_t argument, size_t begin, size_t end, bool from_end, size_t most) const;

  const Summaries* blocks_of(size_t argument, size_t kind) const {
    return blocks_[argument][kind].get();
  }
  // Of the rows [begin, end) by index, of which `values` have a value; nothing where no index
  // knows.
  std::optional<int64_t> distinct(const KeyState& state, size_t argument, size_t begin,
                                  size_t end) const;
  std::optional<double> quantile(size_t argument, size_t begin, size_t end, size_t values,
                                 double q) const;
  size_t bytes() const;

  std::vector<uint32_t> begins;  // by window: the slot at which it began when it was last read

 private:
  // Of one argument.
  struct Indexes {
    size_t argument = 0;
    Reading reading;
    std::unique_ptr<DistinctIndex> distinct;
    std::unique_ptr<RankIndex> ranks;
  };
  void sum_up(const KeyState& state, ViewWorker& worker, size_t from);
  void make_indexes(const KeyState& state, ViewWorker& worker);
  const Indexes* indexes_of(size_t argument) const;
  static SlotWords words_of(const KeyState& state, size_t argument);

  const size_t capacity_;
  uint32_t oldest_ = 0;  // rows that left
  std::vector<Indexes> indexes_;
  std::vector<std::vector<std::unique_ptr<Summaries>>> blocks_;  // by argument and kind
  size_t bytes_ = 0;
};

}  // namespace qw::features
