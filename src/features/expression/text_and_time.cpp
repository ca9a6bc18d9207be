// Functions of text and of timestamps.
#include <fmt/format.h>

#include "features/duration.h"
#include "features/expression/functions.h"
#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

Cell length_s(const Cell& a, const Step&) {
  int64_t count = 0;
  for (const char c : a.text) count += begins_character(c);
  return Cell::of_int(count);
}

template <char From, char To, int Shift>
Cell change_letters(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  if (a.null) return {};
  std::string text(a.text);
  for (char& c : text)
    if (c >= From && c <= To) c = static_cast<char>(c + Shift);
  return Cell::of_text(frame.keep(std::move(text)));
}

Cell concat_s(const Step& step, const Frame& frame, size_t row) {
  std::string text;
  for (const uint32_t arg : step.args) {
    const Cell& cell = frame.slot(arg)[row];
    if (cell.null) return {};
    text += cell.text;
  }
  return Cell::of_text(frame.keep(std::move(text)));
}

size_t skip_characters(std::string_view text, size_t at, int64_t count) {
  for (; count > 0 && at < text.size(); --count)
    for (++at; at < text.size() && !begins_character(text[at]);) ++at;
  return at;
}
Cell substring_s(const Step& step, const Frame& frame, size_t row) {
  const Cell& text = frame.slot(step.args[0])[row];
  const Cell& start = frame.slot(step.args[1])[row];
  const Cell& count = frame.slot(step.args[2])[row];
  if (text.null || start.null || count.null || start.i < 1 || count.i < 0) return {};
  const size_t begin = skip_characters(text.text, 0, start.i - 1);
  const size_t end = skip_characters(text.text, begin, count.i);
  return Cell::of_text(text.text.substr(begin, end - begin));
}
Cell starts_with_s(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(a.text.starts_with(b.text));
}
Cell ends_with_s(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(a.text.ends_with(b.text));
}
Cell contains_s(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(a.text.find(b.text) != std::string_view::npos);
}

Result<void> want(TypedPtr& arg, schema::Type type, std::string_view where) {
  if (!arg->type) QW_TRY(coerce(arg, type));
  if (*arg->type == type) return {};
  return type_error(
      fmt::format("{} needs {}, not {}", where, type.to_string(), arg->type->to_string()),
      fmt::format("cast it: cast(x as {})", type.to_string()));
}
Result<Meaning> of_texts(TypedArgs& args, std::string_view where, Meaning meaning) {
  for (TypedPtr& arg : args) QW_TRY(want(arg, schema::kString, where));
  return meaning;
}

Result<Meaning> resolve_length(TypedArgs& args, const Typed&) {
  return of_texts(args, "length", {schema::kInt64, unary<length_s>, "length($1)"});
}
Result<Meaning> resolve_lower(TypedArgs& args, const Typed&) {
  return of_texts(args, "lower",
                  {schema::kString, each_row<change_letters<'A', 'Z', 32>>, "qw_lower($1)"});
}
Result<Meaning> resolve_upper(TypedArgs& args, const Typed&) {
  return of_texts(args, "upper",
                  {schema::kString, each_row<change_letters<'a', 'z', -32>>, "qw_upper($1)"});
}
Result<Meaning> resolve_concat(TypedArgs& args, const Typed&) {
  return of_texts(args, "||", {schema::kString, each_row<concat_s>, "($1 || $2)"});
}
Result<Meaning> resolve_starts(TypedArgs& args, const Typed&) {
  return of_texts(args, "starts_with",
                  {schema::kBool, binary<starts_with_s>, "starts_with($1, $2)"});
}
Result<Meaning> resolve_ends(TypedArgs& args, const Typed&) {
  return of_texts(args, "ends_with", {schema::kBool, binary<ends_with_s>, "suffix($1, $2)"});
}
Result<Meaning> resolve_contains(TypedArgs& args, const Typed&) {
  return of_texts(args, "contains", {schema::kBool, binary<contains_s>, "contains($1, $2)"});
}
Result<Meaning> resolve_substring(TypedArgs& args, const Typed&) {
  QW_TRY(want(args[0], schema::kString, "substring"));
  QW_TRY(want(args[1], schema::kInt64, "the start of substring"));
  QW_TRY(want(args[2], schema::kInt64, "the count of substring"));
  return Meaning{schema::kString, each_row<substring_s>, "qw_substring($1, $2, $3)"};
}

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kDayUs = 24 * kHourUs;
Cell hour_t(const Cell& a, const Step&) {
  return Cell::of_int((a.i - floor_to(a.i, kDayUs)) / kHourUs);
}
// 1970-01-01 was a Thursday, day 4 when Monday is 1.
Cell day_of_week_t(const Cell& a, const Step&) {
  const int64_t day = floor_to(a.i, kDayUs) / kDayUs + 3;
  return Cell::of_int(day - floor_to(day, 7) + 1);
}
Result<Meaning> resolve_hour(TypedArgs& args, const Typed&) {
  QW_TRY(want(args[0], schema::kTimestamp, "hour"));
  return Meaning{schema::kInt64, unary<hour_t>, "qw_hour($1)"};
}
Result<Meaning> resolve_day_of_week(TypedArgs& args, const Typed&) {
  QW_TRY(want(args[0], schema::kTimestamp, "day_of_week"));
  return Meaning{schema::kInt64, unary<day_of_week_t>, "qw_day_of_week($1)"};
}

const std::vector<Function> kTextAndTime = {
    {"||",
     "Text",
     "a || b",
     "Joins two texts; null when either is null.",
     2,
     2,
     resolve_concat,
     {{"'a' || 'b'", "'ab'"}, {"'a' || null", "null"}}},
    {"length",
     "Text",
     "length(s)",
     "How many Unicode characters (code points).",
     1,
     1,
     resolve_length,
     {{"length('h\xC3\xA9')", "2"}, {"length('')", "0"}}},
    {"lower",
     "Text",
     "lower(s)",
     "Changes A-Z; other characters stay.",
     1,
     1,
     resolve_lower,
     {{"lower('AbC')", "'abc'"}}},
    {"upper",
     "Text",
     "upper(s)",
     "Changes a-z; other characters stay.",
     1,
     1,
     resolve_upper,
     {{"upper('AbC')", "'ABC'"}}},
    {"substring",
     "Text",
     "substring(s, start, count)",
     "At most `count` characters from the `start`-th, counted from 1. Null when start is below 1 "
     "or count below 0.",
     3,
     3,
     resolve_substring,
     {{"substring('quick', 2, 3)", "'uic'"},
      {"substring('quick', 9, 1)", "''"},
      {"substring('quick', 0, 1)", "null"}}},
    {"starts_with",
     "Text",
     "starts_with(s, part)",
     "True when s begins with part.",
     2,
     2,
     resolve_starts,
     {{"starts_with('quick', 'qu')", "true"}}},
    {"ends_with",
     "Text",
     "ends_with(s, part)",
     "True when s ends with part.",
     2,
     2,
     resolve_ends,
     {{"ends_with('quick', 'ck')", "true"}}},
    {"contains",
     "Text",
     "contains(s, part)",
     "True when part occurs in s.",
     2,
     2,
     resolve_contains,
     {{"contains('quick', 'ui')", "true"}, {"contains('a', '')", "true"}}},
    {"hour",
     "Time",
     "hour(t)",
     "Hour of the day in UTC, 0 to 23.",
     1,
     1,
     resolve_hour,
     {{"hour(cast(-1 as timestamp))", "23"}}},
    {"day_of_week",
     "Time",
     "day_of_week(t)",
     "Day of the week in UTC, Monday 1 to Sunday 7.",
     1,
     1,
     resolve_day_of_week,
     {{"day_of_week(cast(0 as timestamp))", "4"}, {"day_of_week(cast(-1 as timestamp))", "3"}}}};

}  // namespace

std::span<const Function> text_and_time_functions() { return kTextAndTime; }

}  // namespace qw::features
