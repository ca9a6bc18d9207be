// The oracle's own way to evaluate an expression: walks the parsed text, decides types as it goes.
// Slow and separate from the compiled evaluator on purpose.
#pragma once

#include <optional>
#include <string>

#include "features/expression/ast.h"
#include "schema/batch.h"

namespace qw::features {

// A value as the oracle computes with it, apart from the executors' own Cell on purpose: what is
// shared cannot judge. A value.
struct OracleValue {
  enum class Kind { kNull, kBool, kInt, kDecimal, kDouble, kText };
  Kind kind = Kind::kNull;
  __int128 i = 0;
  int scale = 0;  // kDecimal
  double d = 0;
  std::string text = {};  // kText; for number literals, the digits as written
  bool literal = false;   // a number literal with a point: exact beside a decimal
};

// Nothing when the expression uses what the oracle does not know. `row` gives the columns.
std::optional<OracleValue> oracle_evaluate(const Ast& ast, const schema::Batch& rows, size_t row);
// The value as a column of this type would hold it.
schema::Value oracle_result(const OracleValue& value, const schema::Type& type);
OracleValue oracle_cell(const schema::Column& column, size_t row);

}  // namespace qw::features
