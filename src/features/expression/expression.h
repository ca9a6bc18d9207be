// A compiled expression: parse and check once, evaluate for ever.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "features/cell.h"
#include "features/expression/typed.h"
#include "schema/batch.h"

namespace qw::features {

// A checked expression over named, typed inputs. Immutable, cheap to copy, readable from any
// thread; an Evaluator runs it.
class Expression {
 public:
  // kBadInput with "column N" as place and a caret line: unknown names (with the nearest known
  // one), wrong types, wrong counts, bad grammar. `inputs` names what may be used: the columns of
  // a source ("amount") and features ("card.n_1m").
  static Result<Expression> compile(std::string_view text, const schema::Schema& inputs);

  const std::string& text() const { return program_->text; }
  const schema::Type& type() const { return program_->type; }
  // Indexes into `inputs` that are read, each once, in order of first use.
  const std::vector<size_t>& columns() const { return program_->columns; }
  // False when every step is exact, or an IEEE operation that every engine rounds alike.
  bool calls_math_library() const { return program_->calls_math_library; }
  // True when the expression works with doubles anywhere.
  bool uses_doubles() const { return program_->uses_doubles; }
  // The checked tree, for SQL dialects.
  const Typed& tree() const { return *program_->tree; }

 private:
  friend class Evaluator;
  struct Program {
    std::string text;
    schema::Type type;
    TypedPtr tree;
    std::vector<size_t> columns;          // slot i holds input columns[i]
    std::vector<schema::Value> literals;  // slots after the columns
    std::vector<Step> steps;              // slots after the literals
    uint32_t slots = 0;
    uint32_t result = 0;
    bool calls_math_library = false;
    bool uses_doubles = false;
  };
  class Compiler;

  std::shared_ptr<const Program> program_;
};

// One expression with working memory of its own: that of another can never be taken for it,
// whatever their shapes. One thread at a time; make one per thread and expression, keep it.
// Evaluation cannot fail: what has no value is null. Numeric evaluation does not allocate after the
// first call.
class Evaluator {
 public:
  explicit Evaluator(const Expression& expression) : program_(expression.program_) {}

  // One row; `inputs` as in the schema. Text in the result lives until the next evaluation.
  Cell evaluate(std::span<const Cell> inputs);
  Cell evaluate(const schema::Batch& batch, size_t row);
  // Every row of the batch, appended to `out`, whose type is the expression's.
  void evaluate(const schema::Batch& batch, schema::Column& out);
  // Of a condition: it is true, neither false nor null.
  bool holds(std::span<const Cell> inputs);

 private:
  Cell* prepare(std::vector<Cell>& cells, size_t rows) const;
  void run(Cell* cells, size_t rows, size_t stride);

  std::shared_ptr<const Expression::Program> program_;
  std::vector<Cell> one_;   // slots for a single row
  std::vector<Cell> many_;  // slots for a chunk of rows
  std::vector<std::unique_ptr<std::string>> texts_;
};

}  // namespace qw::features
