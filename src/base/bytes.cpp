#include "base/bytes.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace qw {
namespace {

constexpr uint8_t kMagic = 0x51;    // 'Q'
constexpr size_t kHeaderBytes = 7;  // magic, kind, version, 32-bit checksum

uint32_t record_checksum(uint8_t kind, uint8_t version, std::string_view body) {
  const uint64_t seed = (static_cast<uint64_t>(kind) << 8) | version;
  return static_cast<uint32_t>(XXH3_64bits_withSeed(body.data(), body.size(), seed));
}

}  // namespace

uint64_t checksum64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void seal_record(uint8_t kind, uint8_t version, std::string_view body, std::string& out) {
  out.reserve(out.size() + kHeaderBytes + body.size());
  ByteWriter writer(out);
  writer.u8(kMagic);
  writer.u8(kind);
  writer.u8(version);
  writer.u32(record_checksum(kind, version, body));
  out.append(body);
}

Result<SealedRecord> open_record(std::string_view sealed) {
  ByteReader reader(sealed);
  const uint8_t magic = reader.u8();
  SealedRecord record;
  record.kind = reader.u8();
  record.version = reader.u8();
  const uint32_t expected = reader.u32();
  if (!reader.ok() || magic != kMagic)
    return Error{ErrorCode::kCorrupt, "these bytes are not a Quickwater record", "", ""};
  record.body = reader.rest();
  if (record_checksum(record.kind, record.version, record.body) != expected)
    return Error{ErrorCode::kCorrupt, "a stored record fails its checksum", "",
                 "restore the data folder from a copy; the disk or the file was damaged"};
  return record;
}

}  // namespace qw
