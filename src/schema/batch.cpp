#include "schema/batch.h"

#include <bit>

#include "base/bytes.h"

namespace qw::schema {
namespace {

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                   1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};

}  // namespace

double Column::double_at(size_t row) const { return std::bit_cast<double>(fixed_[row]); }

double Column::number_at(size_t row) const {
  if (type_.kind == Kind::kDouble) return double_at(row);
  if (type_.kind == Kind::kDecimal)
    return static_cast<double>(fixed_[row]) / kPowersOfTen[type_.scale];
  return static_cast<double>(fixed_[row]);
}

Value Column::value_at(size_t row) const {
  if (!valid(row)) return {};
  if (type_.kind == Kind::kString) return std::string(string_at(row));
  if (type_.kind == Kind::kDouble) return double_at(row);
  return fixed_[row];
}

void Column::push_valid(bool valid) {
  if (size_ % 64 == 0) validity_.push_back(0);
  validity_[size_ / 64] |= static_cast<uint64_t>(valid) << (size_ % 64);
  ++size_;
}

void Column::append_null() {
  if (type_.kind == Kind::kString) {
    if (offsets_.empty()) offsets_.push_back(0);
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  } else {
    fixed_.push_back(0);
  }
  push_valid(false);
}

void Column::append_int(int64_t value) {
  QW_ASSERT(type_.is_integral());
  fixed_.push_back(value);
  push_valid(true);
}

void Column::append_double(double value) {
  QW_ASSERT(type_.kind == Kind::kDouble);
  fixed_.push_back(std::bit_cast<int64_t>(value));
  push_valid(true);
}

void Column::append_string(std::string_view value) {
  QW_ASSERT(type_.kind == Kind::kString);
  if (offsets_.empty()) offsets_.push_back(0);
  bytes_.append(value);
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  push_valid(true);
}

void Column::append_value(const Value& value) {
  if (is_null(value)) return append_null();
  if (const auto* text = std::get_if<std::string>(&value)) return append_string(*text);
  if (const auto* number = std::get_if<double>(&value)) return append_double(*number);
  append_int(std::get<int64_t>(value));
}

void Column::append_from(const Column& other, size_t row) {
  QW_ASSERT(type_ == other.type_);
  if (!other.valid(row)) return append_null();
  if (type_.kind == Kind::kString) return append_string(other.string_at(row));
  fixed_.push_back(other.fixed_[row]);
  push_valid(true);
}

void Column::reserve(size_t rows) {
  validity_.reserve((rows + 63) / 64);
  if (type_.kind == Kind::kString)
    offsets_.reserve(rows + 1);
  else
    fixed_.reserve(rows);
}

void Column::clear() {
  size_ = 0;
  validity_.clear();
  fixed_.clear();
  offsets_.clear();
  bytes_.clear();
}

Batch::Batch(std::shared_ptr<const Schema> schema) : schema_(std::move(schema)) {
  columns_.reserve(schema_->size());
  for (const Field& field : schema_->fields()) columns_.emplace_back(field.type);
}

void Batch::append_row(const std::vector<Value>& values) {
  QW_ASSERT(values.size() == columns_.size());
  for (size_t index = 0; index < values.size(); ++index)
    columns_[index].append_value(values[index]);
}

void Batch::append_row_from(const Batch& other, size_t row) {
  QW_ASSERT(other.columns_.size() == columns_.size());
  for (size_t index = 0; index < columns_.size(); ++index)
    columns_[index].append_from(other.columns_[index], row);
}

void Batch::clear() {
  for (Column& column : columns_) column.clear();
}

void encode_row(const Batch& batch, size_t row, std::string& out) {
  const size_t columns = batch.columns().size();
  const size_t bitmap_at = out.size();
  out.append((columns + 7) / 8, '\0');
  ByteWriter writer(out);
  for (size_t index = 0; index < columns; ++index) {
    const Column& column = batch.column(index);
    if (!column.valid(row)) continue;
    out[bitmap_at + index / 8] = static_cast<char>(out[bitmap_at + index / 8] | (1 << (index % 8)));
    if (column.type().kind == Kind::kString)
      writer.text(column.string_at(row));
    else
      writer.i64(column.int_at(row));
  }
}

Result<void> decode_row(std::string_view bytes, Batch& batch) {
  const size_t columns = batch.columns().size();
  ByteReader reader(bytes);
  const std::string_view bitmap = reader.take((columns + 7) / 8);
  std::vector<Value> values(columns);
  for (size_t index = 0; index < columns && reader.ok(); ++index) {
    if (((static_cast<uint8_t>(bitmap[index / 8]) >> (index % 8)) & 1) == 0) continue;
    const Kind kind = batch.column(index).type().kind;
    if (kind == Kind::kString)
      values[index] = std::string(reader.text());
    else if (kind == Kind::kDouble)
      values[index] = reader.f64();
    else
      values[index] = reader.i64();
  }
  if (!reader.done())
    return Error{ErrorCode::kCorrupt, "a stored row does not fit its schema", "", ""};
  batch.append_row(values);
  return {};
}

}  // namespace qw::schema
