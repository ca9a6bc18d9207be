#include "features/online/key_filter.h"

#include <algorithm>

namespace qw::features {
namespace {

constexpr unsigned kBitsPerKey = 6;

// The bits of a key within its block: nine bits of the hash each.
template <class Take>
bool each_bit(uint64_t hash, const Take& take) {
  for (unsigned n = 0; n < kBitsPerKey; ++n, hash >>= 9)
    if (!take((hash >> 6) & 7, uint64_t{1} << (hash & 63))) return false;
  return true;
}
size_t block_of(uint64_t hash, size_t blocks) {
  return static_cast<size_t>((hash * 0x9E3779B97F4A7C15ull) >> 20) & (blocks - 1);
}

}  // namespace

bool KeyFilter::Stage::has(uint64_t hash) const {
  const Block& block = blocks[block_of(hash, blocks.size())];
  return each_bit(hash, [&](size_t word, uint64_t bit) { return (block.words[word] & bit) != 0; });
}

// Whether it was not there.
bool KeyFilter::Stage::set(uint64_t hash) {
  Block& block = blocks[block_of(hash, blocks.size())];
  bool is_new = false;
  each_bit(hash, [&](size_t word, uint64_t bit) {
    is_new = is_new || (block.words[word] & bit) == 0;
    block.words[word] |= bit;
    return true;
  });
  return is_new;
}

void KeyFilter::add(uint64_t hash) {
  if (may_hold(hash)) return;
  if (stages_.empty() || stages_.back().keys >= stages_.back().blocks.size() * kKeysPerBlock) {
    Stage next;
    next.blocks.resize(stages_.empty() ? kFirstBlocks : stages_.back().blocks.size() * 2);
    stages_.push_back(std::move(next));
  }
  stages_.back().keys += stages_.back().set(hash) ? 1 : 0;
}

bool KeyFilter::may_hold(uint64_t hash) const {
  return std::ranges::any_of(stages_, [&](const Stage& stage) { return stage.has(hash); });
}

size_t KeyFilter::bytes() const {
  size_t bytes = 0;
  for (const Stage& stage : stages_) bytes += stage.blocks.size() * sizeof(Block);
  return bytes;
}

}  // namespace qw::features
