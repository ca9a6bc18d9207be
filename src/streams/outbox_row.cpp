// How a row of an outbox is stored.
#include "base/bytes.h"
#include "schema/stored_record.h"
#include "streams/sink.h"

namespace qw::streams {
namespace {

constexpr uint8_t kRowKind = 43, kRowVersion = 2;  // 1: without its origin

}  // namespace

void encode_outbox_row(const OutboxRow& row, std::string& out) {
  std::string body;
  ByteWriter writer(body);
  writer.text(row.action_id);
  writer.i64(row.created_at_us);
  writer.text(row.key);
  writer.text(row.json);
  writer.text(row.origin.stream);
  writer.u32(row.origin.partition);
  writer.u64(row.origin.position);
  seal_record(kRowKind, kRowVersion, body, out);
}

Result<OutboxRow> decode_outbox_row(std::string_view bytes) {
  constexpr std::string_view kWhat = "a row of the outbox";
  const auto sealed = open_record(bytes);
  const uint8_t version = sealed.ok() && sealed->version == 1 ? 1 : kRowVersion;
  QW_ASSIGN(ByteReader reader, schema::open_stored(bytes, kRowKind, version, kWhat));
  OutboxRow row;
  row.action_id = reader.text();
  row.created_at_us = reader.i64();
  row.key = reader.text();
  row.json = reader.text();
  if (version > 1) {
    row.origin.stream = reader.text();
    row.origin.partition = reader.u32();
    row.origin.position = reader.u64();
  }
  if (!reader.done()) return schema::damaged_record(kWhat);
  return row;
}

}  // namespace qw::streams
