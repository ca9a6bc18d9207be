// The one data currency: columns with validity. A single request is a batch of one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/type.h"

namespace qw::schema {

// One cell outside a batch (row edges: decoders, expressions over one row, JSON). bool, int64,
// timestamp and decimal hold int64; the column's Type says which. monostate is null.
using Value = std::variant<std::monostate, int64_t, double, std::string>;
inline bool is_null(const Value& value) { return value.index() == 0; }

// One typed column, growing at the end. Fixed-width values lie in one 8-byte-per-row buffer
// (bit-cast doubles or int64), strings in offsets + bytes, validity in a bitmap: the Arrow layout
// except that bools take eight bytes. One writer; any number of readers once it no longer grows.
class Column {
 public:
  explicit Column(Type type) : type_(type) {}

  const Type& type() const { return type_; }
  size_t size() const { return size_; }
  bool valid(size_t row) const { return (validity_[row / 64] >> (row % 64)) & 1; }
  // Defined for valid rows only.
  int64_t int_at(size_t row) const { return fixed_[row]; }
  double double_at(size_t row) const;
  std::string_view string_at(size_t row) const {
    return std::string_view(bytes_).substr(offsets_[row], offsets_[row + 1] - offsets_[row]);
  }
  // A numeric cell as double (decimals scaled); NaN-free by contract of ingest. Defined for valid
  // numeric rows.
  double number_at(size_t row) const;
  Value value_at(size_t row) const;

  void append_null();
  void append_int(int64_t value);
  void append_double(double value);
  void append_string(std::string_view value);
  // The value's alternative must fit the type.
  void append_value(const Value& value);
  void append_from(const Column& other, size_t row);
  void reserve(size_t rows);
  void clear();

  // Raw buffers, for kernels.
  const int64_t* ints() const { return fixed_.data(); }
  const uint64_t* validity() const { return validity_.data(); }

 private:
  void push_valid(bool valid);

  Type type_;
  size_t size_ = 0;
  std::vector<uint64_t> validity_;
  std::vector<int64_t> fixed_;     // empty for strings
  std::vector<uint32_t> offsets_;  // strings: size + 1 entries once a row exists
  std::string bytes_;
};

// Rows of a schema, column by column. Owns its columns, shares its schema.
class Batch {
 public:
  explicit Batch(std::shared_ptr<const Schema> schema);

  const Schema& schema() const { return *schema_; }
  const std::shared_ptr<const Schema>& schema_ptr() const { return schema_; }
  size_t rows() const { return columns_.empty() ? 0 : columns_.front().size(); }
  const Column& column(size_t index) const { return columns_[index]; }
  Column& column(size_t index) { return columns_[index]; }
  const std::vector<Column>& columns() const { return columns_; }
  void append_row(const std::vector<Value>& values);
  void append_row_from(const Batch& other, size_t row);
  void clear();

 private:
  std::shared_ptr<const Schema> schema_;
  std::vector<Column> columns_;
};

// One row as bytes: a null bitmap, then the values in column order. Pairs with decode_row of the
// same schema.
void encode_row(const Batch& batch, size_t row, std::string& out);
// Appends the row to `batch`. kCorrupt when the bytes do not fit the schema; the batch is then
// unchanged in length.
Result<void> decode_row(std::string_view bytes, Batch& batch);

}  // namespace qw::schema
