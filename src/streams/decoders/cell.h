// One value written as text -> a typed value, strictly.
#pragma once

#include <string_view>

#include "base/result.h"
#include "schema/batch.h"
#include "streams/decoders/time.h"

namespace qw::streams {

// What no column of numbers can hold, and every writer of numbers may write: nan and inf in any
// spelling, and numbers beyond a double (1e999). It means null.
bool is_no_number(std::string_view text);

// kBadInput with what was found: not a number, out of range, not finite, too many decimals. Strings
// must be UTF-8. Pure.
Result<schema::Value> parse_cell(std::string_view text, const schema::Type& type,
                                 const TimeParser& times);

}  // namespace qw::streams
