#include "features/cell_text.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;

Error not_a(std::string_view text, const schema::Type& type) {
  return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a {}", text, type.to_string()), "",
               ""};
}

template <class T>
bool read_all(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc{} && read.ptr == end;
}

Result<schema::Value> parse_decimal(std::string_view text, const schema::Type& type) {
  std::string digits(text);
  const size_t point = digits.find('.');
  size_t fraction = 0;
  if (point != std::string::npos) {
    fraction = digits.size() - point - 1;
    digits.erase(point, 1);
  }
  int64_t value = 0;
  if (fraction > type.scale || !read_all(digits, value)) return not_a(text, type);
  int64_t scaled = 0;
  if (__builtin_mul_overflow(value, kPowerOfTen[type.scale - fraction], &scaled))
    return not_a(text, type);
  return schema::Value(scaled);
}

}  // namespace

std::string text_of(const Cell& cell, const schema::Type& type) {
  if (cell.null) return "null";
  switch (type.kind) {
    case Kind::kBool: return cell.i != 0 ? "true" : "false";
    case Kind::kDouble: return fmt::format("{}", cell.d);
    case Kind::kString: return fmt::format("'{}'", cell.text);
    case Kind::kDecimal: {
      const uint64_t size =
          cell.i < 0 ? 0 - static_cast<uint64_t>(cell.i) : static_cast<uint64_t>(cell.i);
      const auto power = static_cast<uint64_t>(kPowerOfTen[type.scale]);
      std::string text = fmt::format("{}{}", cell.i < 0 ? "-" : "", size / power);
      if (type.scale > 0) text += fmt::format(".{:0{}}", size % power, type.scale);
      return text;
    }
    default: return fmt::format("{}", cell.i);
  }
}

void append_key_part(const schema::Column& column, size_t row, std::string& out) {
  switch (column.type().kind) {
    case Kind::kString: out.append(column.string_at(row)); return;
    case Kind::kBool:
    case Kind::kDecimal: out.append(text_of(cell_at(column, row), column.type())); return;
    default: fmt::format_to(std::back_inserter(out), "{}", column.int_at(row)); return;
  }
}

Result<schema::Value> parse_value(std::string_view text, const schema::Type& type) {
  if (text == "null") return schema::Value{};
  int64_t number = 0;
  double real = 0;
  switch (type.kind) {
    case Kind::kBool:
      if (text != "true" && text != "false") return not_a(text, type);
      return schema::Value(int64_t{text == "true"});
    case Kind::kDouble:
      if (!read_all(text, real)) return not_a(text, type);
      return schema::Value(real);
    case Kind::kString:
      if (text.size() < 2 || text.front() != '\'' || text.back() != '\'') return not_a(text, type);
      return schema::Value(std::string(text.substr(1, text.size() - 2)));
    case Kind::kDecimal: return parse_decimal(text, type);
    default:
      if (!read_all(text, number)) return not_a(text, type);
      return schema::Value(number);
  }
}

}  // namespace qw::features
