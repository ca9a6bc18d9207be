// Little-endian encoding of stored records, and their checksum.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

// 64-bit XXH3 of the bytes; the checksum of every stored record.
uint64_t checksum64(std::string_view bytes);

// Appends values to a string. The string is the caller's.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u32(uint32_t value) { fixed(value); }
  void u64(uint64_t value) { fixed(value); }
  void i64(int64_t value) { fixed(value); }
  void f64(double value) { fixed(std::bit_cast<uint64_t>(value)); }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }

 private:
  template <class T>
  void fixed(T value) {
    static_assert(std::endian::native == std::endian::little);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    out_.append(raw, sizeof value);
  }
  std::string& out_;
};

// Reads values back. Never reads past the end: after the first shortage ok() is false and every
// value is 0.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  uint8_t u8() { return fixed<uint8_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  int64_t i64() { return fixed<int64_t>(); }
  double f64() { return std::bit_cast<double>(fixed<uint64_t>()); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = u8();
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  std::string_view text() { return take(varint()); }
  // The next `count` bytes, as a view into the input.
  std::string_view take(uint64_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view rest() const { return rest_; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  template <class T>
  T fixed() {
    T value{};
    const auto raw = take(sizeof(T));
    if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::string_view rest_;
  bool ok_ = true;
};

// Wraps a record body as {magic, kind, version, checksum, body}. `kind` tells record types apart.
void seal_record(uint8_t kind, uint8_t version, std::string_view body, std::string& out);

// What open_record found inside. A value; `body` lives as long as the bytes it was opened from.
struct SealedRecord {
  uint8_t kind = 0;
  uint8_t version = 0;
  std::string_view body;  // a view into the sealed bytes
};
// kCorrupt when the magic or the checksum is wrong.
Result<SealedRecord> open_record(std::string_view sealed);

}  // namespace qw
