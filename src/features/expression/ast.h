// What an expression says before its names and types are known.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::features {

// One node of an expression as it was written: no name is resolved, no type known. Owns its
// arguments. Brackets nest at most kExpressionDepthMax deep; a chain of operators makes a tree as
// deep as the chain is long, which kExpressionBytesMax bounds.
struct Ast {
  enum class Kind { kNumber, kString, kBool, kNull, kName, kCall };
  Kind kind = Kind::kNull;
  // kNumber: digits as written, with its sign; kString: unquoted; kBool: true or false; kName: the
  // column, with dots; kCall: the function's or operator's name ("+", "case", "cast").
  std::string text;
  std::string type_text;  // cast only: the type it names
  std::vector<std::unique_ptr<Ast>> args;
  size_t offset = 0;  // where in the text, bytes from 0
};
using AstPtr = std::unique_ptr<Ast>;

constexpr size_t kExpressionBytesMax = 16 * 1024;
constexpr int kExpressionDepthMax = 64;

// kBadInput with the column and a caret line. `between` and `in` come back as comparisons joined by
// `and` and `or`.
Result<AstPtr> parse_expression(std::string_view text);

// An error at a place in an expression: the message, the line of text and a caret under the place.
Error expression_error(std::string_view text, size_t offset, std::string_view message,
                       std::string how_to_mend);

}  // namespace qw::features
