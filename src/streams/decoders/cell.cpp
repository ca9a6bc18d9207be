#include "streams/decoders/cell.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qw::streams {
namespace {

Error found(std::string_view wanted, std::string_view text) {
  return Error{ErrorCode::kBadInput,
               fmt::format("{} expected, found '{}'", wanted, text.substr(0, 64)), "", ""};
}

template <class Number>
bool parse_whole(std::string_view text, Number& value, std::errc& error) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  error = parsed.ec;
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

Result<schema::Value> parse_int64(std::string_view text) {
  int64_t value = 0;
  std::errc error{};
  if (parse_whole(text, value, error)) return schema::Value{value};
  if (error == std::errc::result_out_of_range)
    return Error{ErrorCode::kBadInput,
                 fmt::format("{} is out of the range of int64", text.substr(0, 64)), "", ""};
  return found("int64", text);
}

Result<schema::Value> parse_double(std::string_view text) {
  double value = 0;
  std::errc error{};
  const bool whole = parse_whole(text, value, error);
  // Too small to be told from 0, since what is too large is no number.
  if (error == std::errc::result_out_of_range) return schema::Value{0.0};
  if (!whole) return found("double", text);
  if (!std::isfinite(value)) return found("a finite double", text);
  return schema::Value{value};
}

// Exact: "12.30" of decimal(6,2) is 1230. Trailing zeros beyond the scale are harmless.
Result<schema::Value> parse_decimal(std::string_view text, const schema::Type& type) {
  std::string_view rest = text;
  const bool minus = !rest.empty() && rest.front() == '-';
  if (minus) rest.remove_prefix(1);
  int64_t unscaled = 0;
  int digits = 0, decimals = 0;
  bool point = false, any = false;
  for (const char c : rest) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') return found(type.to_string(), text);
    any = true;
    if (point && decimals == type.scale) {
      if (c != '0')
        return Error{ErrorCode::kBadInput,
                     fmt::format("{} has more than {} decimals", text.substr(0, 64), type.scale),
                     "", ""};
      continue;
    }
    if (point) ++decimals;
    if (digits > 0 || c != '0') ++digits;
    if (digits > 18) break;
    unscaled = unscaled * 10 + (c - '0');
  }
  if (!any) return found(type.to_string(), text);
  for (; decimals < type.scale && digits <= 18; ++decimals) {
    unscaled *= 10;
    if (unscaled != 0) ++digits;
  }
  if (digits > type.precision)
    return Error{ErrorCode::kBadInput,
                 fmt::format("{} is out of the range of {}", text.substr(0, 64), type.to_string()),
                 "", ""};
  return schema::Value{minus ? -unscaled : unscaled};
}

bool same_word(std::string_view text, std::string_view word) {
  return std::ranges::equal(text, word, [](char a, char b) { return (a | 0x20) == b; });
}

// Of a number that is no double: whether it is beyond them, not next to 0.
bool is_large(std::string_view text) {
  const size_t end = std::min(text.find_first_of("eE"), text.size());
  const auto first = static_cast<int64_t>(text.find_first_of("123456789"));
  const auto point = static_cast<int64_t>(std::min(text.find('.'), end));
  const int64_t whole_digits = first < point ? point - first : point + 1 - first;
  std::string_view rest = text.substr(std::min(end + 1, text.size()));
  if (rest.starts_with('+')) rest.remove_prefix(1);
  int64_t exponent = 0;
  std::errc error{};
  if (!rest.empty() && !parse_whole(rest, exponent, error)) return rest.front() != '-';
  return whole_digits + exponent > 0;
}

}  // namespace

bool is_no_number(std::string_view text) {
  if (text.empty()) return false;
  std::string_view word = text;
  if (word.front() == '-' || word.front() == '+') word.remove_prefix(1);
  if (same_word(word, "nan") || same_word(word, "inf") || same_word(word, "infinity")) return true;
  constexpr size_t kMostDigits = 308;  // of a double; beyond it only with an exponent
  if (text.size() <= kMostDigits && text.find_first_of("eE") == text.npos) return false;
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc::result_out_of_range || parsed.ptr != text.data() + text.size())
    return false;
  return is_large(text);  // or it is next to 0
}

Result<schema::Value> parse_cell(std::string_view text, const schema::Type& type,
                                 const TimeParser& times) {
  switch (type.kind) {
    case schema::Kind::kBool:
      if (text == "true" || text == "1") return schema::Value{int64_t{1}};
      if (text == "false" || text == "0") return schema::Value{int64_t{0}};
      return found("true or false", text);
    case schema::Kind::kInt64: return parse_int64(text);
    case schema::Kind::kDouble: return parse_double(text);
    case schema::Kind::kDecimal: return parse_decimal(text, type);
    case schema::Kind::kTimestamp: {
      QW_ASSIGN(const int64_t time_us, times.parse(text));
      return schema::Value{time_us};
    }
    case schema::Kind::kString:
      if (!simdjson::validate_utf8(text.data(), text.size()))
        return Error{ErrorCode::kBadInput, "the text is not UTF-8", "", ""};
      return schema::Value{std::string(text)};
  }
  return found(type.to_string(), text);
}

}  // namespace qw::streams
