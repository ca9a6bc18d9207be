// Text that may not be UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace qw {

// Length of the UTF-8 character at the front of a text that is not empty; 0 when it is none
// (overlong, surrogate, cut off).
size_t utf8_length(std::string_view text);

}  // namespace qw
