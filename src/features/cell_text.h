// Values as people write and read them: in case files, reports and error messages.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "features/cell.h"

namespace qw::features {

// 12, 0.1 (the shortest that reads back equal), true, 'text', 12.50 (decimal), null; timestamps as
// int64 microseconds.
std::string text_of(const Cell& cell, const schema::Type& type);
// The reverse; doubles may also be nan, inf and -inf, which a source may send. kBadInput
// otherwise.
Result<schema::Value> parse_value(std::string_view text, const schema::Type& type);

}  // namespace qw::features
