#include "models/column_mapping.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "schema/row_mapping.h"
#include "schema/settings.h"

namespace qw::models {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

double finite(double value) { return std::isfinite(value) ? value : kMissing; }

// What a decimal's digits count.
double unit_of(const schema::Type& type) {
  double unit = 1;
  for (int digit = 0; digit < type.scale; ++digit) unit *= 10;  // exact up to 10^22
  return unit;
}

double number_of(const schema::Value& value, const schema::Type& type) {
  if (const auto* real = std::get_if<double>(&value)) return finite(*real);
  if (const auto* whole = std::get_if<int64_t>(&value))
    return static_cast<double>(*whole) / unit_of(type);
  return kMissing;
}

// Without a branch for each cell; nulls, which are rare, are put right after.
void fill_numbers(const schema::Column& column, size_t first, size_t count, double* into) {
  const int64_t* const stored = column.ints() + first;
  if (column.type().kind == schema::Kind::kDouble) {
    for (size_t row = 0; row < count; ++row) into[row] = finite(std::bit_cast<double>(stored[row]));
  } else {
    const double unit = unit_of(column.type());
    for (size_t row = 0; row < count; ++row) into[row] = static_cast<double>(stored[row]) / unit;
  }
  for (size_t row = 0; row < count;) {
    const size_t at = first + row;
    if (at % 64 == 0 && count - row >= 64 && column.validity()[at / 64] == ~uint64_t{0}) {
      row += 64;
      continue;
    }
    if (!column.valid(at)) into[row] = kMissing;
    ++row;
  }
}

void fill_texts(const schema::Column& column, size_t first, size_t count, std::string_view* into) {
  for (size_t row = 0; row < count; ++row)
    into[row] = column.valid(first + row) ? column.string_at(first + row) : std::string_view();
}

Error not_offered(const schema::Field& input, const schema::Schema& offered, std::string_view who) {
  std::vector<std::string> names;
  for (const schema::Field& field : offered.fields()) names.push_back(field.name);
  return {ErrorCode::kBadInput,
          fmt::format("{} wants the input '{}' ({}), which is not offered", who, input.name,
                      input.type.to_string()),
          "inputs", schema::suggestion(input.name, names)};
}

}  // namespace

InputBlock::InputBlock(const schema::Schema& wanted, size_t rows_max)
    : rows_max_(rows_max), numbers_(wanted.size() * rows_max, kMissing), columns_(wanted.size()) {
  const auto is_text = [&](size_t input) {
    return wanted.field(input).type.kind == schema::Kind::kString;
  };
  for (size_t input = 0; input < wanted.size(); ++input)
    if (is_text(input) && texts_.empty()) texts_.resize(wanted.size() * rows_max);
  for (size_t input = 0; input < wanted.size(); ++input)
    columns_[input] =
        is_text(input) ? InputColumn{nullptr, texts(input)} : InputColumn{numbers(input), nullptr};
}

Result<ColumnMapping> ColumnMapping::make(const schema::Schema& offered,
                                          const schema::Schema& wanted, std::string_view who) {
  ColumnMapping mapping;
  for (const schema::Field& input : wanted.fields()) {
    const auto at = offered.index_of(input.name);
    if (!at) return not_offered(input, offered, who);
    const schema::Type& type = offered.field(*at).type;
    if (!schema::reads_as(type, input.type))
      return Error{ErrorCode::kBadInput,
                   fmt::format("{} wants the input '{}' as {}, and it is offered as {}", who,
                               input.name, input.type.to_string(), type.to_string()),
                   "inputs",
                   fmt::format("derive a feature of type {}, or train the model on {}",
                               input.type.to_string(), type.to_string())};
    mapping.from_.push_back(*at);
    mapping.types_.push_back(type);
  }
  return mapping;
}

void ColumnMapping::fill(const schema::Batch& batch, size_t first, size_t count,
                         InputBlock& block) const {
  QW_ASSERT(block.columns_.size() == from_.size() && count <= block.rows_max_);
  QW_ASSERT(count <= batch.rows() && first <= batch.rows() - count);
  block.count_ = count;
  for (size_t input = 0; input < from_.size(); ++input) {
    const schema::Column& column = batch.column(from_[input]);
    if (block.columns_[input].texts != nullptr)
      fill_texts(column, first, count, block.texts(input));
    else
      fill_numbers(column, first, count, block.numbers(input));
  }
}

void ColumnMapping::fill(std::span<const schema::Value> row, InputBlock& block) const {
  QW_ASSERT(block.columns_.size() == from_.size() && block.rows_max_ >= 1);
  block.count_ = 1;
  for (size_t input = 0; input < from_.size(); ++input) {
    const schema::Value& value = row[from_[input]];
    if (block.columns_[input].texts != nullptr) {
      const auto* text = std::get_if<std::string>(&value);
      *block.texts(input) = text == nullptr ? std::string_view() : std::string_view(*text);
    } else {
      *block.numbers(input) = number_of(value, types_[input]);
    }
  }
}

}  // namespace qw::models
