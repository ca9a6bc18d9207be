// One value on its way through expressions and aggregates.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "schema/batch.h"

namespace qw::features {

// A typed value without its type (the program knows it): integers, bools, timestamps and unscaled
// decimals in `i`, doubles in `d`, strings in `text` (owned by whoever made the cell: a batch, a
// state or an expression's scratch memory). A plain value; never NaN, infinite or -0.0 unless null.
struct Cell {
  union {
    int64_t i = 0;
    double d;
  };
  std::string_view text;
  bool null = true;

  static Cell of_int(int64_t value) {
    Cell cell;
    cell.i = value;
    cell.null = false;
    return cell;
  }
  // Non-finite becomes null, -0.0 becomes 0.0: the rule for every double in a feature.
  static Cell of_double(double value) {
    Cell cell;
    cell.d = value + 0.0;
    cell.null = !std::isfinite(value);
    return cell;
  }
  static Cell of_text(std::string_view value) {
    Cell cell;
    cell.text = value;
    cell.null = false;
    return cell;
  }
};

inline Cell cell_at(const schema::Column& column, size_t row) {
  if (!column.valid(row)) return {};
  if (column.type().kind == schema::Kind::kString) return Cell::of_text(column.string_at(row));
  if (column.type().kind == schema::Kind::kDouble) return Cell::of_double(column.double_at(row));
  return Cell::of_int(column.int_at(row));
}

inline Cell cell_of(const schema::Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return Cell::of_int(*number);
  if (const auto* number = std::get_if<double>(&value)) return Cell::of_double(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return Cell::of_text(*text);
  return {};
}

inline schema::Value value_of(const Cell& cell, schema::Kind kind) {
  if (cell.null) return {};
  if (kind == schema::Kind::kString) return std::string(cell.text);
  if (kind == schema::Kind::kDouble) return cell.d;
  return cell.i;
}

inline void append_cell(schema::Column& column, const Cell& cell) {
  if (cell.null) return column.append_null();
  if (column.type().kind == schema::Kind::kString) return column.append_string(cell.text);
  if (column.type().kind == schema::Kind::kDouble) return column.append_double(cell.d);
  column.append_int(cell.i);
}

}  // namespace qw::features
