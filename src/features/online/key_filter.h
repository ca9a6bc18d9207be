// Which keys something has never seen, in few bits a key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qw::features {

// A Bloom filter (B. H. Bloom, 1970) in blocks of one cache line (F. Putze et al., 2007), which
// grows by a further, twice as large one when it is full: about 16 bits a key, and less than one
// wrong answer in a hundred. One thread at a time.
class KeyFilter {
 public:
  void add(uint64_t hash);
  // False: surely not.
  bool may_hold(uint64_t hash) const;
  size_t bytes() const;

 private:
  struct alignas(64) Block {
    std::array<uint64_t, 8> words{};
  };
  struct Stage {
    std::vector<Block> blocks;  // a power of two
    size_t keys = 0;
    bool has(uint64_t hash) const;
    bool set(uint64_t hash);
  };
  static constexpr size_t kFirstBlocks = 64;
  static constexpr size_t kKeysPerBlock = 32;
  std::vector<Stage> stages_;
};

}  // namespace qw::features
