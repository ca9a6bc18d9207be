// One value written as text -> a typed value, strictly.
#pragma once

#include <string_view>

#include "base/result.h"
#include "schema/batch.h"
#include "streams/decoders/time.h"

namespace qw::streams {

// kBadInput with what was found: not a number, out of range, not finite, too many decimals. Strings
// must be UTF-8. Pure.
Result<schema::Value> parse_cell(std::string_view text, const schema::Type& type,
                                 const TimeParser& times);

}  // namespace qw::streams
