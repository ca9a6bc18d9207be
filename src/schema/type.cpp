#include "schema/type.h"

#include <fmt/format.h>

#include <charconv>

#include "base/bytes.h"

namespace qw::schema {
namespace {

struct NamedKind {
  std::string_view name;
  Kind kind;
};
constexpr NamedKind kNamed[] = {{"bool", Kind::kBool},
                                {"int64", Kind::kInt64},
                                {"double", Kind::kDouble},
                                {"string", Kind::kString},
                                {"timestamp", Kind::kTimestamp}};

Error unknown_type(std::string_view text) {
  return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a type", text), "",
               "use one of bool, int64, double, string, timestamp, decimal(precision,scale) with "
               "precision 1 to 18 and scale 0 to precision"};
}

Result<Type> parse_decimal(std::string_view text) {
  int precision = 0;
  int scale = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data() + 8, end, precision);  // after "decimal("
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ',') return unknown_type(text);
  const char* begin = first.ptr + 1;
  while (begin != end && *begin == ' ') ++begin;
  const auto second = std::from_chars(begin, end, scale);
  if (second.ec != std::errc{} || second.ptr + 1 != end || *second.ptr != ')')
    return unknown_type(text);
  if (precision < 1 || precision > 18 || scale < 0 || scale > precision) return unknown_type(text);
  return Type{Kind::kDecimal, static_cast<uint8_t>(precision), static_cast<uint8_t>(scale)};
}

}  // namespace

bool Type::is_numeric() const {
  return kind == Kind::kInt64 || kind == Kind::kDouble || kind == Kind::kDecimal;
}

std::string Type::to_string() const {
  if (kind == Kind::kDecimal) return fmt::format("decimal({},{})", precision, scale);
  for (const NamedKind& named : kNamed)
    if (named.kind == kind) return std::string(named.name);
  return "unknown";
}

Result<Type> parse_type(std::string_view text) {
  for (const NamedKind& named : kNamed)
    if (named.name == text) return Type{named.kind};
  if (text.starts_with("decimal(")) return parse_decimal(text);
  return unknown_type(text);
}

std::optional<size_t> Schema::index_of(std::string_view name) const {
  for (size_t index = 0; index < fields_.size(); ++index)
    if (fields_[index].name == name) return index;
  return std::nullopt;
}

uint64_t Schema::fingerprint() const {
  std::string bytes;
  ByteWriter writer(bytes);
  for (const Field& field : fields_) {
    writer.text(field.name);
    writer.u8(static_cast<uint8_t>(field.type.kind));
    writer.u8(field.type.precision);
    writer.u8(field.type.scale);
  }
  return checksum64(bytes);
}

}  // namespace qw::schema
