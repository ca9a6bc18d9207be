// From what is offered by name (a decision's inputs, the columns of a request) to the columns that
// an engine takes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/scoring_engine.h"
#include "schema/batch.h"
#include "schema/type.h"

namespace qw::models {

// Room for the rows of one call, as a ScoringEngine takes them. Made once and used again: filling
// it allocates nothing. Owns the numbers; texts are views of what it was filled from. One thread at
// a time.
class InputBlock {
 public:
  InputBlock(const schema::Schema& wanted, size_t rows_max);
  InputBlock(const InputBlock&) = delete;
  InputBlock& operator=(const InputBlock&) = delete;

  size_t rows_max() const { return rows_max_; }
  // What it was filled with last.
  InputRows rows() const { return {columns_, count_}; }

 private:
  friend class ColumnMapping;
  double* numbers(size_t input) { return numbers_.data() + input * rows_max_; }
  std::string_view* texts(size_t input) { return texts_.data() + input * rows_max_; }

  const size_t rows_max_;
  size_t count_ = 0;
  std::vector<double> numbers_;          // of every input, also where texts are wanted
  std::vector<std::string_view> texts_;  // empty where no input is a string
  std::vector<InputColumn> columns_;
};

// Which offered column is which input, found by name. An input reads a column of its own type, an
// int64 or a decimal as a double, and a narrower decimal (schema::reads_as). A null, a NaN and an
// infinity are missing. Immutable: any number of threads may use it, each with a block of its own.
class ColumnMapping {
 public:
  // kBadInput, with `who` ("the model 'fraud@3'") in the message: names the first input that is not
  // offered, with the nearest name that is, or is offered under a type that does not read as it.
  static Result<ColumnMapping> make(const schema::Schema& offered, const schema::Schema& wanted,
                                    std::string_view who);

  // Of each input, in the order of the engine: the offered column.
  const std::vector<size_t>& columns() const { return from_; }

  // Rows `first` to `first + count` of a batch of the offered schema; at most block.rows_max().
  void fill(const schema::Batch& batch, size_t first, size_t count, InputBlock& block) const;
  // One row, a value for each offered column; the values outlive the use of the block.
  void fill(std::span<const schema::Value> row, InputBlock& block) const;

 private:
  ColumnMapping() = default;

  std::vector<size_t> from_;
  std::vector<schema::Type> types_;  // of those columns
};

}  // namespace qw::models
