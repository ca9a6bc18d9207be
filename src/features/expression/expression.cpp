#include "features/expression/expression.h"

#include <algorithm>

#include "features/expression/functions.h"

namespace qw::features {
namespace {

constexpr size_t kChunkRows = 512;

size_t columns_in(const Typed& node) {
  size_t count = node.kind == Typed::Kind::kColumn ? 1 : 0;
  for (const TypedPtr& arg : node.args) count += columns_in(*arg);
  return count;
}

size_t literals_in(const Typed& node) {
  size_t count = node.kind == Typed::Kind::kLiteral ? 1 : 0;
  for (const TypedPtr& arg : node.args) count += literals_in(*arg);
  return count;
}

}  // namespace

// Turns the tree into steps over slots: columns first, then literals, then results.
class Expression::Compiler {
 public:
  explicit Compiler(Program& program) : program_(program) {
    collect(*program.tree);
    next_literal_ = static_cast<uint32_t>(program.columns.size());
    program.slots = next_literal_ + static_cast<uint32_t>(literals_in(*program.tree));
    program.result = emit(*program.tree);
  }

 private:
  void collect(const Typed& node) {
    if (node.type && node.type->kind == schema::Kind::kDouble) program_.uses_doubles = true;
    if (node.kind == Typed::Kind::kColumn &&
        std::ranges::find(program_.columns, node.column) == program_.columns.end())
      program_.columns.push_back(node.column);
    if (node.kind == Typed::Kind::kCall)
      for (const std::string_view name : {"ln", "log10", "exp", "power"})
        program_.calls_math_library |= node.function->name == name;
    for (const TypedPtr& arg : node.args) collect(*arg);
  }
  uint32_t emit(const Typed& node) {
    if (node.kind == Typed::Kind::kColumn)
      return static_cast<uint32_t>(std::ranges::find(program_.columns, node.column) -
                                   program_.columns.begin());
    if (node.kind == Typed::Kind::kLiteral) {
      program_.literals.push_back(node.literal);
      return next_literal_++;
    }
    Step step;
    step.run = node.meaning.kernel;
    step.p1 = node.meaning.p1;
    step.p2 = node.meaning.p2;
    for (const TypedPtr& arg : node.args) step.args.push_back(emit(*arg));
    step.out = program_.slots++;
    program_.steps.push_back(std::move(step));
    return program_.steps.back().out;
  }

  Program& program_;
  uint32_t next_literal_ = 0;
};

Result<Expression> Expression::compile(std::string_view text, const schema::Schema& inputs) {
  QW_ASSIGN(const AstPtr ast, parse_expression(text));
  auto program = std::make_shared<Program>();
  program->text = std::string(text);
  QW_ASSIGN(program->tree, check_expression(text, *ast, inputs));
  if (!program->tree->type)
    return expression_error(text, program->tree->offset, "this null has no type",
                            "write cast(null as double), or another type");
  program->type = *program->tree->type;
  program->columns.reserve(columns_in(*program->tree));
  Compiler compiler(*program);
  Expression expression;
  expression.program_ = std::move(program);
  return expression;
}

// Sizes the slots at first use; literals then stay in place for every evaluation.
Cell* Evaluator::prepare(std::vector<Cell>& cells, size_t rows) const {
  if (cells.size() == rows * program_->slots) return cells.data();
  cells.assign(rows * program_->slots, Cell{});
  const size_t first = program_->columns.size();
  for (size_t i = 0; i < program_->literals.size(); ++i)
    std::fill_n(cells.begin() + static_cast<std::ptrdiff_t>((first + i) * rows), rows,
                cell_of(program_->literals[i]));
  return cells.data();
}

void Evaluator::run(Cell* cells, size_t rows, size_t stride) {
  const Frame frame{cells, rows, stride, &texts_};
  for (const Step& step : program_->steps) step.run(step, frame);
}

Cell Evaluator::evaluate(std::span<const Cell> inputs) {
  texts_.clear();
  Cell* const cells = prepare(one_, 1);
  for (size_t i = 0; i < program_->columns.size(); ++i) cells[i] = inputs[program_->columns[i]];
  run(cells, 1, 1);
  return cells[program_->result];
}

Cell Evaluator::evaluate(const schema::Batch& batch, size_t row) {
  texts_.clear();
  Cell* const cells = prepare(one_, 1);
  for (size_t i = 0; i < program_->columns.size(); ++i)
    cells[i] = cell_at(batch.column(program_->columns[i]), row);
  run(cells, 1, 1);
  return cells[program_->result];
}

bool Evaluator::holds(std::span<const Cell> inputs) {
  QW_ASSERT(program_->type == schema::kBool);
  const Cell answer = evaluate(inputs);
  return !answer.null && answer.i != 0;
}

void Evaluator::evaluate(const schema::Batch& batch, schema::Column& out) {
  Cell* const cells = prepare(many_, kChunkRows);
  for (size_t begin = 0; begin < batch.rows(); begin += kChunkRows) {
    const size_t rows = std::min(kChunkRows, batch.rows() - begin);
    texts_.clear();
    for (size_t i = 0; i < program_->columns.size(); ++i)
      for (size_t row = 0; row < rows; ++row)
        cells[i * kChunkRows + row] = cell_at(batch.column(program_->columns[i]), begin + row);
    run(cells, rows, kChunkRows);
    for (size_t row = 0; row < rows; ++row)
      append_cell(out, cells[program_->result * kChunkRows + row]);
  }
}

}  // namespace qw::features
