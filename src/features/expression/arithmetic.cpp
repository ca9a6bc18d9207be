// Operators on numbers, and casts.
#include <fmt/format.h>

#include <charconv>

#include "features/expression/functions.h"
#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

Kind kind_of(const TypedPtr& arg) { return arg->type->kind; }

// Gives untyped nulls the other side's type (double when both are untyped).
Result<void> settle_nulls(TypedArgs& args) {
  Type type = schema::kDouble;
  for (const TypedPtr& arg : args)
    if (arg->type) type = *arg->type;
  for (TypedPtr& arg : args)
    if (!arg->type) QW_TRY(coerce(arg, type));
  return {};
}

Error not_numbers(const TypedArgs& args, std::string_view what) {
  return type_error(fmt::format("cannot {} {} and {}", what, args[0]->type->to_string(),
                                args[1]->type->to_string()),
                    "use numbers of the same kind, or cast one of them");
}

template <auto F>
Cell add_like(const Cell& a, const Cell& b, const Step&) {
  int64_t result = 0;
  return F(a.i, b.i, &result) ? Cell{} : Cell::of_int(result);
}
constexpr auto kAdd = [](int64_t a, int64_t b, int64_t* r) {
  return __builtin_add_overflow(a, b, r);
};
constexpr auto kSub = [](int64_t a, int64_t b, int64_t* r) {
  return __builtin_sub_overflow(a, b, r);
};
constexpr auto kMul = [](int64_t a, int64_t b, int64_t* r) {
  return __builtin_mul_overflow(a, b, r);
};

Cell add_d(const Cell& a, const Cell& b, const Step&) { return Cell::of_double(a.d + b.d); }
Cell sub_d(const Cell& a, const Cell& b, const Step&) { return Cell::of_double(a.d - b.d); }
Cell mul_d(const Cell& a, const Cell& b, const Step&) { return Cell::of_double(a.d * b.d); }
Cell div_d(const Cell& a, const Cell& b, const Step&) { return Cell::of_double(a.d / b.d); }
Cell add_m(const Cell& a, const Cell& b, const Step&) {
  return narrow_decimal(Int128{a.i} + b.i, kPowerOfTen[18]);
}
Cell sub_m(const Cell& a, const Cell& b, const Step&) {
  return narrow_decimal(Int128{a.i} - b.i, kPowerOfTen[18]);
}
Cell mul_m(const Cell& a, const Cell& b, const Step&) {
  return narrow_decimal(Int128{a.i} * b.i, kPowerOfTen[18]);
}
Cell div_i(const Cell& a, const Cell& b, const Step&) {
  return b.i == 0 ? Cell{} : narrow(Int128{a.i} / b.i);
}
Cell mod_i(const Cell& a, const Cell& b, const Step&) {
  return b.i == 0 ? Cell{} : narrow(Int128{a.i} % b.i);
}

Result<Meaning> resolve_sum(TypedArgs& args, bool plus) {
  QW_TRY(settle_nulls(args));
  const Kind a = kind_of(args[0]);
  const Kind b = kind_of(args[1]);
  const std::string_view ints = plus ? "qw_add($1, $2)" : "qw_sub($1, $2)";
  const Kernel ints_kernel = plus ? binary<add_like<kAdd>> : binary<add_like<kSub>>;
  if (a == Kind::kTimestamp && b == Kind::kTimestamp && !plus)
    return Meaning{schema::kInt64, ints_kernel, ints};
  if (a == Kind::kTimestamp && b == Kind::kInt64)
    return Meaning{schema::kTimestamp, ints_kernel, ints};
  if (!args[0]->type->is_numeric() || !args[1]->type->is_numeric())
    return not_numbers(args, plus ? "add" : "subtract");
  QW_ASSIGN(const std::optional<Type> type, common_type(args));
  for (TypedPtr& arg : args) QW_TRY(coerce(arg, *type));
  if (type->kind == Kind::kInt64) return Meaning{*type, ints_kernel, ints};
  if (type->kind == Kind::kDouble)
    return Meaning{*type, plus ? binary<add_d> : binary<sub_d>,
                   plus ? "qw_finite($1 + $2)" : "qw_finite($1 - $2)"};
  return Meaning{
      *type, plus ? binary<add_m> : binary<sub_m>,
      plus ? "try_cast($1::decimal(38,$S) + $2 as $T)" : "try_cast($1::decimal(38,$S) - $2 as $T)"};
}
Result<Meaning> resolve_plus(TypedArgs& args, const Typed&) { return resolve_sum(args, true); }
Result<Meaning> resolve_minus(TypedArgs& args, const Typed&) { return resolve_sum(args, false); }

Result<Meaning> resolve_times(TypedArgs& args, const Typed&) {
  QW_TRY(settle_nulls(args));
  if (!args[0]->type->is_numeric() || !args[1]->type->is_numeric())
    return not_numbers(args, "multiply");
  QW_ASSIGN(const std::optional<Type> type, common_type(args));
  if (type->kind == Kind::kDecimal) {  // the scales add up, so the sides keep theirs
    int scale = 0;
    for (TypedPtr& arg : args) {
      if (kind_of(arg) == Kind::kInt64) QW_TRY(coerce(arg, decimal_of(0)));
      if (kind_of(arg) == Kind::kDouble) QW_TRY(coerce(arg, *type));  // a literal
      scale += arg->type->scale;
    }
    if (scale > 18)
      return type_error(
          fmt::format("the product would have {} digits after the point, above 18", scale),
          "round or cast one side to fewer digits first");
    return Meaning{decimal_of(static_cast<uint8_t>(scale)),
                   binary<mul_m>,
                   "try_cast($1::decimal(38,$P) * $2 as $T)",
                   0,
                   0,
                   std::to_string(int{args[0]->type->scale})};
  }
  for (TypedPtr& arg : args) QW_TRY(coerce(arg, *type));
  if (type->kind == Kind::kInt64) return Meaning{*type, binary<add_like<kMul>>, "qw_mul($1, $2)"};
  return Meaning{*type, binary<mul_d>, "qw_finite($1 * $2)"};
}

Result<Meaning> resolve_divide(TypedArgs& args, const Typed&) {
  QW_TRY(settle_nulls(args));
  if (!args[0]->type->is_numeric() || !args[1]->type->is_numeric())
    return not_numbers(args, "divide");
  for (TypedPtr& arg : args) QW_TRY(coerce(arg, schema::kDouble));
  return Meaning{schema::kDouble, binary<div_d>, "qw_finite($1 / $2)"};
}

Result<Meaning> whole(TypedArgs& args, std::string_view what, Kernel kernel, std::string_view sql) {
  for (TypedPtr& arg : args) {
    if (!arg->type) QW_TRY(coerce(arg, schema::kInt64));
    if (kind_of(arg) != Kind::kInt64)
      return type_error(
          fmt::format("{} needs int64 on both sides, not {}", what, arg->type->to_string()),
          "cast it to int64, or use / for a fraction");
  }
  return Meaning{schema::kInt64, kernel, sql};
}
Result<Meaning> resolve_modulo(TypedArgs& args, const Typed&) {
  return whole(args, "%", binary<mod_i>,
               "try_cast($1::hugeint % nullif($2, 0)::hugeint as bigint)");
}
Result<Meaning> resolve_div(TypedArgs& args, const Typed&) {
  return whole(args, "div", binary<div_i>,
               "try_cast($1::hugeint // nullif($2, 0)::hugeint as bigint)");
}

Cell negate_i(const Cell& a, const Step&) { return narrow(-Int128{a.i}); }
Cell negate_d(const Cell& a, const Step&) { return Cell::of_double(-a.d); }
Result<Meaning> resolve_negate(TypedArgs& args, const Typed&) {
  QW_TRY(settle_nulls(args));
  if (!args[0]->type->is_numeric())
    return type_error(fmt::format("cannot negate {}", args[0]->type->to_string()));
  if (kind_of(args[0]) == Kind::kDouble)
    return Meaning{schema::kDouble, unary<negate_d>, "(0 - $1)"};
  if (kind_of(args[0]) == Kind::kDecimal) return Meaning{*args[0]->type, unary<negate_i>, "(- $1)"};
  return Meaning{schema::kInt64, unary<negate_i>, "qw_sub(0, $1)"};
}

// ---- casts

Cell same(const Cell& a, const Step&) { return a; }
Cell int_to_double(const Cell& a, const Step&) { return Cell::of_double(static_cast<double>(a.i)); }
Cell int_to_decimal(const Cell& a, const Step& step) {
  return narrow_decimal(Int128{a.i} * step.p1, step.p2);
}
Cell int_to_bool(const Cell& a, const Step&) { return Cell::of_int(a.i != 0); }
Cell double_to_int(const Cell& a, const Step&) {
  const double rounded = std::round(a.d);
  if (!(rounded >= -0x1p63 && rounded < 0x1p63)) return {};
  return Cell::of_int(static_cast<int64_t>(rounded));
}
Cell double_to_decimal(const Cell& a, const Step& step) {
  const double rounded = std::round(a.d * static_cast<double>(step.p1));
  if (!(rounded >= -0x1p63 && rounded < 0x1p63)) return {};
  return narrow_decimal(static_cast<int64_t>(rounded), step.p2);
}
Cell decimal_to_double_cell(const Cell& a, const Step& step) {
  return Cell::of_double(decimal_to_double(a.i, step.p1));
}
Cell decimal_to_int(const Cell& a, const Step& step) {
  return narrow(divide_rounded(a.i, step.p1));
}
// p1 above 0: multiply by it; below 0: divide by -p1.
Cell rescale(const Cell& a, const Step& step) {
  const Int128 value = step.p1 > 0 ? Int128{a.i} * step.p1 : divide_rounded(a.i, -step.p1);
  return narrow_decimal(value, step.p2);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
size_t digits_at(std::string_view text, size_t at) {
  size_t count = 0;
  while (at + count < text.size() && is_digit(text[at + count])) ++count;
  return count;
}
// [+-]digits, nothing else.
Cell text_to_int(const Cell& a, const Step&) {
  std::string_view text = a.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || (a.text.starts_with('+') && text.starts_with('-'))) return {};
  int64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{} || end.ptr != text.data() + text.size()) return {};
  return Cell::of_int(value);
}
// [+-] digits [. digits] [e [+-] digits] with at least one digit before the exponent.
Cell text_to_double(const Cell& a, const Step&) {
  std::string_view text = a.text;
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  size_t at = digits_at(text, 0);
  size_t digits = at;
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = digits_at(text, at + 1);
    digits += fraction;
    at += 1 + fraction;
  }
  if (digits == 0) return {};
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t exponent = digits_at(text, at);
    if (exponent == 0) return {};
    at += exponent;
  }
  if (at != text.size()) return {};
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{}) return {};
  return Cell::of_double(a.text.starts_with('-') ? -value : value);
}
Cell text_to_bool(const Cell& a, const Step&) {
  if (a.text != "true" && a.text != "false") return {};
  return Cell::of_int(a.text == "true");
}
Cell int_to_text(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  return a.null ? Cell{} : Cell::of_text(frame.keep(fmt::format("{}", a.i)));
}
Cell bool_to_text(const Cell& a, const Step&) { return Cell::of_text(a.i != 0 ? "true" : "false"); }
Cell decimal_to_text(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  if (a.null) return {};
  const uint64_t size = a.i < 0 ? 0 - static_cast<uint64_t>(a.i) : static_cast<uint64_t>(a.i);
  const auto power = static_cast<uint64_t>(kPowerOfTen[step.p1]);
  std::string text = fmt::format("{}{}", a.i < 0 ? "-" : "", size / power);
  if (step.p1 > 0) text += fmt::format(".{:0{}}", size % power, step.p1);
  return Cell::of_text(frame.keep(std::move(text)));
}

Result<Meaning> cast_from_int(const Type& to) {
  switch (to.kind) {
    case Kind::kDouble: return Meaning{to, unary<int_to_double>, "$1::double"};
    case Kind::kDecimal:
      return Meaning{to, unary<int_to_decimal>, "try_cast($1 as $T)", kPowerOfTen[to.scale],
                     kPowerOfTen[to.precision]};
    case Kind::kString: return Meaning{to, each_row<int_to_text>, "$1::varchar"};
    case Kind::kBool: return Meaning{to, unary<int_to_bool>, "($1 <> 0)"};
    default: return Meaning{to, unary<same>, "$1"};
  }
}
Result<Meaning> cast_from_double(const Type& to) {
  if (to.kind == Kind::kInt64)
    return Meaning{to, unary<double_to_int>, "try_cast(round($1) as bigint)"};
  if (to.kind == Kind::kDecimal)
    return Meaning{to,
                   unary<double_to_decimal>,
                   "try_cast(try_cast(round($1 * 1e$P) as bigint)::decimal(19,0) * "
                   "1e-$P::decimal(19,$P) as $T)",
                   kPowerOfTen[to.scale],
                   kPowerOfTen[to.precision],
                   fmt::format("{}", to.scale)};
  return type_error("cannot cast double to " + to.to_string(),
                    "cast it to int64 or to a decimal first");
}
Result<Meaning> cast_from_decimal(const Type& from, const Type& to) {
  switch (to.kind) {
    case Kind::kDouble:
      return Meaning{to, unary<decimal_to_double_cell>, "$1::double", kPowerOfTen[from.scale]};
    case Kind::kInt64:
      return Meaning{to, unary<decimal_to_int>, "try_cast(round($1) as bigint)",
                     kPowerOfTen[from.scale]};
    case Kind::kString: return Meaning{to, each_row<decimal_to_text>, "$1::varchar", from.scale};
    case Kind::kDecimal:
      if (to.scale >= from.scale)
        return Meaning{to, unary<rescale>, "try_cast($1 as $T)", kPowerOfTen[to.scale - from.scale],
                       kPowerOfTen[to.precision]};
      return Meaning{to,
                     unary<rescale>,
                     "try_cast(round($1, $P) as $T)",
                     -kPowerOfTen[from.scale - to.scale],
                     kPowerOfTen[to.precision],
                     fmt::format("{}", to.scale)};
    default: return type_error("cannot cast a decimal to " + to.to_string());
  }
}
Result<Meaning> cast_from_text(const Type& to) {
  if (to.kind == Kind::kInt64)
    return Meaning{
        to, unary<text_to_int>,
        "case when regexp_full_match($1, '[+-]?[0-9]+') then try_cast($1 as bigint) end"};
  if (to.kind == Kind::kDouble)
    return Meaning{to, unary<text_to_double>,
                   "case when regexp_full_match($1, "
                   "'[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?') "
                   "then qw_clean(try_cast($1 as double)) end"};
  if (to.kind == Kind::kBool)
    return Meaning{to, unary<text_to_bool>,
                   "case $1 when 'true' then true when 'false' then false end"};
  return type_error("cannot cast string to " + to.to_string());
}

Result<Meaning> resolve_cast(TypedArgs& args, const Typed& call) {
  if (!args[0]->type) {
    QW_TRY(coerce(args[0], *call.type));
    return Meaning{*call.type, unary<same>, "$1"};
  }
  return cast_meaning(*args[0]->type, *call.type);
}

}  // namespace

Result<Meaning> cast_meaning(const Type& from, const Type& to) {
  if (from == to) return Meaning{to, unary<same>, "$1"};
  switch (from.kind) {
    case Kind::kInt64: return cast_from_int(to);
    case Kind::kDouble: return cast_from_double(to);
    case Kind::kDecimal: return cast_from_decimal(from, to);
    case Kind::kString: return cast_from_text(to);
    case Kind::kBool:
      if (to.kind == Kind::kInt64) return Meaning{to, unary<same>, "$1::bigint"};
      if (to.kind == Kind::kString)
        return Meaning{to, unary<bool_to_text>,
                       "case when $1 then 'true' when not $1 then 'false' end"};
      break;
    case Kind::kTimestamp:
      if (to.kind == Kind::kInt64) return Meaning{to, unary<same>, "$1"};
      break;
  }
  return type_error(
      fmt::format("cannot cast {} to {}", from.to_string(), to.to_string()),
      from.kind == Kind::kTimestamp || from.kind == Kind::kBool ? "cast it to int64 first" : "");
}

namespace {
const std::vector<Function> kArithmetic = {
    {"+",
     "Numbers",
     "a + b",
     "Sum. int64 with int64 is int64, with a decimal is decimal, with a double is double. A "
     "timestamp plus int64 microseconds is a timestamp.",
     2,
     2,
     resolve_plus,
     {{"1 + 2", "3"}, {"0.5 + 1", "1.5"}, {"9223372036854775807 + 1", "null"}}},
    {"-",
     "Numbers",
     "a - b",
     "Difference. Two timestamps give int64 microseconds.",
     2,
     2,
     resolve_minus,
     {{"1 - 3", "-2"}, {"-9223372036854775808 - 1", "null"}}},
    {"*",
     "Numbers",
     "a * b",
     "Product. The digits after the point of two decimals add up.",
     2,
     2,
     resolve_times,
     {{"6 * 7", "42"},
      {"cast(1.25 as decimal(9,2)) * 3", "3.75"},
      {"3037000500 * 3037000500", "null"},
      {"1e200 * 1e200", "null"}}},
    {"/",
     "Numbers",
     "a / b",
     "Quotient, always a double, also of two int64. Division by zero is null.",
     2,
     2,
     resolve_divide,
     {{"7 / 2", "3.5"}, {"1 / 0", "null"}, {"0.0 / 0", "null"}}},
    {"%",
     "Numbers",
     "a % b",
     "Remainder of int64 division, with the sign of a. By zero is null.",
     2,
     2,
     resolve_modulo,
     {{"7 % 3", "1"}, {"-7 % 3", "-1"}, {"7 % 0", "null"}}},
    {"div",
     "Numbers",
     "div(a, b)",
     "int64 division, cut towards zero. By zero is null.",
     2,
     2,
     resolve_div,
     {{"div(7, 2)", "3"},
      {"div(-7, 2)", "-3"},
      {"div(1, 0)", "null"},
      {"div(-9223372036854775808, -1)", "null"}}},
    {"negate",
     "Numbers",
     "-a",
     "The number with the other sign.",
     1,
     1,
     resolve_negate,
     {{"-(2 + 3)", "-5"}, {"-(-9223372036854775808)", "null"}}},
    {"cast",
     "Casts",
     "cast(a as type)",
     "The value as another type; null where it does not fit. Fractions round half away from "
     "zero. Text must be a plain number (`12`, `-1.5`, `2e3`) without spaces; bools are `true` "
     "and `false`; timestamps are int64 microseconds since 1970.",
     1,
     1,
     resolve_cast,
     {{"cast(2.5 as int64)", "3"},
      {"cast(-2.5 as int64)", "-3"},
      {"cast(1e19 as int64)", "null"},
      {"cast('12' as int64)", "12"},
      {"cast(' 12' as int64)", "null"},
      {"cast('1.5e3' as double)", "1500"},
      {"cast('nan' as double)", "null"},
      {"cast(true as int64)", "1"},
      {"cast(1.005 as decimal(9,2))", "1.00"},
      {"cast(cast(2.675 as decimal(9,3)) as decimal(9,2))", "2.68"},
      {"cast(cast(-0.5 as decimal(3,1)) as string)", "'-0.5'"},
      {"cast(1000 as decimal(3,0))", "null"}}}};

}  // namespace

std::span<const Function> arithmetic_functions() { return kArithmetic; }

}  // namespace qw::features
