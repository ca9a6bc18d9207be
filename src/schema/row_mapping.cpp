#include "schema/row_mapping.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

namespace qw::schema {
namespace {

// The double that is nearest to the decimal, as a reader of its digits would find it.
double nearest_double(int64_t digits, uint8_t scale) {
  const std::string text = fmt::format("{}e-{}", digits, scale);
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

int64_t power_of_ten(int exponent) {
  int64_t power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

}  // namespace

bool reads_as(const Type& stored, const Type& wanted) {
  if (stored == wanted) return true;
  if (wanted.kind == Kind::kDouble)
    return stored.kind == Kind::kInt64 || stored.kind == Kind::kDecimal;
  return stored.kind == Kind::kDecimal && wanted.kind == Kind::kDecimal &&
         wanted.scale >= stored.scale &&
         wanted.precision - wanted.scale >= stored.precision - stored.scale;
}

RowMapping::RowMapping(std::shared_ptr<const Schema> stored, std::shared_ptr<const Schema> wanted)
    : stored_(std::move(stored)),
      wanted_(std::move(wanted)),
      same_(stored_->fingerprint() == wanted_->fingerprint()) {
  for (size_t column = 0; column < wanted_->size(); ++column) {
    auto from = stored_->index_of(wanted_->field(column).name);
    if (from && !reads_as(stored_->field(*from).type, wanted_->field(column).type)) {
      unreadable_.push_back(column);
      from.reset();
    }
    from_.push_back(from);
  }
}

Value RowMapping::convert(Value value, size_t column) const {
  const Type& stored = stored_->field(*from_[column]).type;
  const Type& wanted = wanted_->field(column).type;
  if (is_null(value) || stored == wanted) return value;
  const int64_t digits = std::get<int64_t>(value);
  if (wanted.kind == Kind::kDecimal) return digits * power_of_ten(wanted.scale - stored.scale);
  return stored.kind == Kind::kDecimal ? nearest_double(digits, stored.scale)
                                       : static_cast<double>(digits);
}

Result<void> RowMapping::read(std::string_view bytes, Batch& out) const {
  if (same_) return decode_row(bytes, out);
  Batch row(stored_);
  QW_TRY(decode_row(bytes, row));
  std::vector<Value> values(from_.size());
  for (size_t column = 0; column < from_.size(); ++column)
    if (from_[column]) values[column] = convert(row.column(*from_[column]).value_at(0), column);
  out.append_row(values);
  return {};
}

}  // namespace qw::schema
