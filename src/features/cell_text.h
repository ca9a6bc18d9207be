// Values as people write and read them: in case files, reports and error messages.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "features/cell.h"
#include "schema/batch.h"

namespace qw::features {

// 12, 0.1 (the shortest that reads back equal), true, 'text', 12.50 (decimal), null; timestamps as
// int64 microseconds.
std::string text_of(const Cell& cell, const schema::Type& type);
// A value that is there, as a part of a key: as text_of, but a text as it is. Not for doubles,
// which are no keys.
void append_key_part(const schema::Column& column, size_t row, std::string& out);
// The reverse of text_of; doubles may also be nan, inf and -inf, which a source may send. kBadInput
// otherwise.
Result<schema::Value> parse_value(std::string_view text, const schema::Type& type);

}  // namespace qw::features
