// How rows are keyed on disk. Big-endian numbers and escaped names, so that byte order is the order
// the contract of store.h promises.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "store/store.h"

namespace qw::store::internal {

// Column families in the order they are created; the order is their id on disk and never changes.
enum class Family : uint32_t { kDefault = 0, kLog, kMeta, kOutbox, kState };
constexpr size_t kFamilies = 5;
constexpr std::string_view kFamilyNames[kFamilies] = {"default", "log", "meta", "outbox", "state"};

// log: [log u8][partition u32][seq u64]. Seq 0 holds the highest seq ever trimmed (u64).
std::string log_key(Log log, PartitionId partition, Seq seq);
std::string log_end(Log log, PartitionId partition);

// outbox: [sink escaped][seq u64]. Seq 0 holds the highest seq ever erased (u64).
std::string outbox_key(std::string_view sink, Seq seq);
std::string outbox_end(std::string_view sink);

// state: ['h'][owner escaped][partition u32][key escaped] -> sealed header;
//        ['p'][owner escaped][partition u32][key escaped][page u32] -> page.
// Headers lie together, so that listing keys does not read pages.
constexpr char kHeaderTag = 'h';
constexpr char kPageTag = 'p';
std::string state_key(char tag, const StateId& id);
std::string state_owner_prefix(char tag, std::string_view owner);
std::string state_partition_prefix(char tag, std::string_view owner, PartitionId partition);
void append_page(std::string& key, uint32_t page);
// The key of a state from what follows its partition prefix, or nothing when damaged.
std::optional<std::string> unescape(std::string_view escaped);

// The smallest key after all that begin with `prefix`.
std::string after_prefix(std::string prefix);

// The last eight bytes of a key.
uint64_t trailing_u64(std::string_view key);
std::string u64_value(uint64_t value);

// What a state's header row says.
struct StateHeader {
  Seq applied;
  uint64_t size_bytes = 0;
  uint32_t pages = 0;
  uint64_t checksum = 0;
};
std::string encode_header(const StateHeader& header);
Result<StateHeader> decode_header(std::string_view sealed);

}  // namespace qw::store::internal
