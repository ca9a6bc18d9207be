// An expression whose names and types are known, and the frame it is evaluated in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "features/cell.h"
#include "features/expression/ast.h"
#include "schema/type.h"

namespace qw::features {

// The registers of one evaluation: `rows` cells for each slot, slot after slot.
struct Frame {
  Cell* cells = nullptr;
  size_t rows = 0;
  size_t stride = 0;
  std::vector<std::unique_ptr<std::string>>* texts = nullptr;  // strings made on the way
  Cell* slot(uint32_t index) const { return cells + index * stride; }
  // Keeps a new string until the next evaluation.
  std::string_view keep(std::string text) const {
    texts->push_back(std::make_unique<std::string>(std::move(text)));
    return *texts->back();
  }
};

// One instruction: reads its argument slots, writes slot `out`. p1, p2: scales, powers, limits.
struct Step {
  void (*run)(const Step&, const Frame&) = nullptr;
  uint32_t out = 0;
  std::vector<uint32_t> args;
  int64_t p1 = 0;
  int64_t p2 = 0;
};
using Kernel = void (*)(const Step&, const Frame&);

// How a function works on given types: the result, the kernel, and the SQL of each dialect, where
// $1, $2 stand for arguments, $* for all of them, $T for the result type, $S for its scale,
// $P for `sql_parameter`.
struct Meaning {
  schema::Type type;
  Kernel kernel = nullptr;
  std::string_view duckdb = {};
  int64_t p1 = 0;
  int64_t p2 = 0;
  std::string sql_parameter = {};
};

struct Function;

// One node of a checked expression: what it names is found, its type decided. Owns its arguments.
// Changed while it is checked, constant after.
struct Typed {
  enum class Kind { kLiteral, kColumn, kCall };
  Kind kind = Kind::kLiteral;
  std::optional<schema::Type> type;  // nothing: an untyped null
  schema::Value literal;
  std::string number_text;  // a number literal as written, so that decimals stay exact
  size_t column = 0;
  std::string column_name;
  const Function* function = nullptr;
  Meaning meaning;
  std::vector<std::unique_ptr<Typed>> args;
  size_t offset = 0;
};
using TypedPtr = std::unique_ptr<Typed>;
using TypedArgs = std::vector<TypedPtr>;

// Finds the columns and functions of an expression and decides its types.
Result<TypedPtr> check_expression(std::string_view text, const Ast& ast,
                                  const schema::Schema& inputs);

}  // namespace qw::features
