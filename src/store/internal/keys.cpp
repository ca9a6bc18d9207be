#include "store/internal/keys.h"

namespace qw::store::internal {
namespace {

constexpr uint8_t kHeaderKind = 16;
constexpr uint8_t kHeaderVersion = 1;

void append_be32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void append_be64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

// Names keep their byte order and end themselves: 00 becomes 00 FF, the end is 00 01.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    out.push_back(c);
    if (c == '\0') out.push_back('\xFF');
  }
  out.push_back('\0');
  out.push_back('\x01');
}

}  // namespace

std::string log_key(Log log, PartitionId partition, Seq seq) {
  std::string key;
  key.push_back(static_cast<char>(log));
  append_be32(key, partition.value());
  append_be64(key, seq.value());
  return key;
}

std::string log_end(Log log, PartitionId partition) {
  return after_prefix(log_key(log, partition, Seq{0}).substr(0, 5));
}

std::string outbox_key(std::string_view sink, Seq seq) {
  std::string key;
  append_escaped(key, sink);
  append_be64(key, seq.value());
  return key;
}

std::string outbox_end(std::string_view sink) {
  std::string key;
  append_escaped(key, sink);
  return after_prefix(std::move(key));
}

std::string state_owner_prefix(char tag, std::string_view owner) {
  std::string key(1, tag);
  append_escaped(key, owner);
  return key;
}

std::string state_partition_prefix(char tag, std::string_view owner, PartitionId partition) {
  std::string key = state_owner_prefix(tag, owner);
  append_be32(key, partition.value());
  return key;
}

std::string state_key(char tag, const StateId& id) {
  std::string key = state_partition_prefix(tag, id.owner, id.partition);
  append_escaped(key, id.key);
  return key;
}

void append_page(std::string& key, uint32_t page) { append_be32(key, page); }

std::optional<std::string> unescape(std::string_view escaped) {
  std::string text;
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != '\0') {
      text.push_back(escaped[i]);
      continue;
    }
    if (i + 1 >= escaped.size()) return std::nullopt;
    if (escaped[i + 1] == '\x01')
      return i + 2 == escaped.size() ? std::optional(text) : std::nullopt;
    text.push_back('\0');
    ++i;
  }
  return std::nullopt;
}

std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xFF') prefix.pop_back();
  QW_ASSERT(!prefix.empty());
  prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

uint64_t trailing_u64(std::string_view key) {
  QW_ASSERT(key.size() >= 8);
  uint64_t value = 0;
  for (const char c : key.substr(key.size() - 8)) value = (value << 8) | static_cast<uint8_t>(c);
  return value;
}

std::string u64_value(uint64_t value) {
  std::string bytes;
  append_be64(bytes, value);
  return bytes;
}

std::string encode_header(const StateHeader& header) {
  std::string body;
  ByteWriter writer(body);
  writer.u64(header.applied.value());
  writer.u64(header.size_bytes);
  writer.u32(header.pages);
  writer.u64(header.checksum);
  std::string sealed;
  seal_record(kHeaderKind, kHeaderVersion, body, sealed);
  return sealed;
}

Result<StateHeader> decode_header(std::string_view sealed) {
  QW_ASSIGN(const SealedRecord record, open_record(sealed));
  if (record.kind != kHeaderKind)
    return Error{ErrorCode::kCorrupt, "the header of a stored state is another record", "", ""};
  if (record.version != kHeaderVersion)
    return Error{ErrorCode::kUnsupported, "a stored state was written by a newer Quickwater", "",
                 "start the newer version, or use a fresh data folder"};
  ByteReader reader(record.body);
  StateHeader header;
  header.applied = Seq{reader.u64()};
  header.size_bytes = reader.u64();
  header.pages = reader.u32();
  header.checksum = reader.u64();
  const uint64_t wanted = (header.size_bytes + kStatePageBytes - 1) / kStatePageBytes;
  if (!reader.done() || header.pages != wanted)
    return Error{ErrorCode::kCorrupt, "the header of a stored state is damaged", "", ""};
  return header;
}

}  // namespace qw::store::internal
