// Cuts an expression into words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::features {

// One word of an expression and where it begins. A value.
struct Token {
  enum class Kind { kNumber, kString, kName, kKeyword, kSymbol, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // keywords in lower case; strings unquoted
  size_t offset = 0;
};

// kBadInput for a character or a string that has no end. The last token is kEnd.
Result<std::vector<Token>> cut_into_tokens(std::string_view text);

}  // namespace qw::features
