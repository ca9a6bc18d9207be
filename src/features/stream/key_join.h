// What the partitions of a source hold of one key, put together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "features/stream/key_state.h"

namespace qw::features {

// Makes one state of those of several partitions. Its rows lie in the order of (event_time,
// partition, seq), which their seqs tell: reads and follow() take seq_in(). It keeps no fewer rows
// than its parts had and knows what they lack; where the parts disagree on what is over, because
// one is far ahead, only a join made at that moment has all that is there. Working memory for one
// join; the view outlives it.
class KeyJoin {
 public:
  // Partitions are told apart by their rank among those of the source: 0 .. kPartitionsMost - 1.
  static constexpr uint64_t kPartitionsMost = 1u << 16;
  static constexpr unsigned kSeqBits = 48;
  static Seq seq_in(size_t rank, Seq seq);

  explicit KeyJoin(const View& view);
  void add(size_t rank, const KeyState& part);
  KeyState finish();

 private:
  KeyState joined_;
  std::string slots_;  // of all parts, one after the other
};

}  // namespace qw::features
