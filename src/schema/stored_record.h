// Opening what was stored: the checks that every kind of record shares.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace qw::schema {

// Reads the body of a sealed record of this kind. kCorrupt: damaged or of another kind;
// kUnsupported: a newer version wrote it. `what` names it in the errors: "a row of the outbox".
Result<ByteReader> open_stored(std::string_view record, uint8_t kind, uint8_t version,
                               std::string_view what);
// kCorrupt, for a body that ends too early or too late.
Error damaged_record(std::string_view what);

}  // namespace qw::schema
