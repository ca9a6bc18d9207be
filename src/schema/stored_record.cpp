#include "schema/stored_record.h"

#include <fmt/format.h>

namespace qw::schema {

Error damaged_record(std::string_view what) {
  return {ErrorCode::kCorrupt, fmt::format("{} is damaged", what), "",
          "restore the data folder from a copy"};
}

Result<ByteReader> open_stored(std::string_view record, uint8_t kind, uint8_t version,
                               std::string_view what) {
  QW_ASSIGN(const SealedRecord sealed, open_record(record));
  if (sealed.kind != kind)
    return Error{ErrorCode::kCorrupt, fmt::format("{} is of another kind", what), "",
                 "restore the data folder from a copy"};
  if (sealed.version != version)
    return Error{ErrorCode::kUnsupported, fmt::format("{} was written by a newer Quickwater", what),
                 "", "start the newer version, or use a fresh data folder"};
  return ByteReader(sealed.body);
}

}  // namespace qw::schema
