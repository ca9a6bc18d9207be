// Functions of one or two numbers.
#include <fmt/format.h>

#include "features/expression/functions.h"
#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

Cell ln_d(const Cell& a, const Step&) { return a.d > 0 ? Cell::of_double(std::log(a.d)) : Cell{}; }
Cell log10_d(const Cell& a, const Step&) {
  return a.d > 0 ? Cell::of_double(std::log10(a.d)) : Cell{};
}
Cell exp_d(const Cell& a, const Step&) { return Cell::of_double(std::exp(a.d)); }
Cell sqrt_d(const Cell& a, const Step&) {
  return a.d >= 0 ? Cell::of_double(std::sqrt(a.d)) : Cell{};
}
Cell power_d(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_double(std::pow(a.d, b.d));
}

Result<void> want_doubles(TypedArgs& args, std::string_view where) {
  for (TypedPtr& arg : args) {
    if (arg->type && !arg->type->is_numeric())
      return type_error(fmt::format("{} needs a number, not {}", where, arg->type->to_string()));
    QW_TRY(coerce(arg, schema::kDouble));
  }
  return {};
}
Result<Meaning> resolve_ln(TypedArgs& args, const Typed&) {
  QW_TRY(want_doubles(args, "ln"));
  return Meaning{schema::kDouble, unary<ln_d>, "ln(case when $1 > 0 then $1 end)"};
}
Result<Meaning> resolve_log10(TypedArgs& args, const Typed&) {
  QW_TRY(want_doubles(args, "log10"));
  return Meaning{schema::kDouble, unary<log10_d>, "log10(case when $1 > 0 then $1 end)"};
}
Result<Meaning> resolve_exp(TypedArgs& args, const Typed&) {
  QW_TRY(want_doubles(args, "exp"));
  return Meaning{schema::kDouble, unary<exp_d>, "qw_finite(exp($1))"};
}
Result<Meaning> resolve_sqrt(TypedArgs& args, const Typed&) {
  QW_TRY(want_doubles(args, "sqrt"));
  return Meaning{schema::kDouble, unary<sqrt_d>, "sqrt(case when $1 >= 0 then $1 end)"};
}
Result<Meaning> resolve_power(TypedArgs& args, const Typed&) {
  QW_TRY(want_doubles(args, "power"));
  return Meaning{schema::kDouble, binary<power_d>, "qw_finite(pow($1, $2))"};
}

Cell abs_i(const Cell& a, const Step&) { return narrow(a.i < 0 ? -Int128{a.i} : Int128{a.i}); }
Cell abs_d(const Cell& a, const Step&) { return Cell::of_double(std::fabs(a.d)); }
Cell sign_i(const Cell& a, const Step&) { return Cell::of_int((a.i > 0) - (a.i < 0)); }
Cell sign_d(const Cell& a, const Step&) { return Cell::of_int((a.d > 0) - (a.d < 0)); }
Cell same(const Cell& a, const Step&) { return a; }

Result<Type> want_number(TypedPtr& arg, std::string_view where) {
  if (!arg->type) QW_TRY(coerce(arg, schema::kDouble));
  if (arg->type->is_numeric()) return *arg->type;
  return type_error(fmt::format("{} needs a number, not {}", where, arg->type->to_string()));
}
Result<Meaning> resolve_abs(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, want_number(args[0], "abs"));
  if (type.kind == Kind::kDouble) return Meaning{type, unary<abs_d>, "abs($1)"};
  if (type.kind == Kind::kDecimal) return Meaning{type, unary<abs_i>, "abs($1)"};
  return Meaning{type, unary<abs_i>, "try_cast(abs($1::hugeint) as bigint)"};
}
Result<Meaning> resolve_sign(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, want_number(args[0], "sign"));
  return Meaning{schema::kInt64, type.kind == Kind::kDouble ? unary<sign_d> : unary<sign_i>,
                 "sign($1)::bigint"};
}

Cell floor_d(const Cell& a, const Step&) { return Cell::of_double(std::floor(a.d)); }
Cell ceil_d(const Cell& a, const Step&) { return Cell::of_double(std::ceil(a.d)); }
Cell floor_m(const Cell& a, const Step& step) {
  return Cell::of_int(a.i / step.p1 - (a.i % step.p1 < 0 ? 1 : 0));
}
Cell ceil_m(const Cell& a, const Step& step) {
  return Cell::of_int(a.i / step.p1 + (a.i % step.p1 > 0 ? 1 : 0));
}
Result<Meaning> resolve_floor(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, want_number(args[0], "floor"));
  if (type.kind == Kind::kDouble) return Meaning{type, unary<floor_d>, "floor($1)"};
  if (type.kind == Kind::kInt64) return Meaning{type, unary<same>, "$1"};
  return Meaning{decimal_of(0), unary<floor_m>, "floor($1)::$T", kPowerOfTen[type.scale]};
}
Result<Meaning> resolve_ceil(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, want_number(args[0], "ceil"));
  if (type.kind == Kind::kDouble) return Meaning{type, unary<ceil_d>, "ceil($1)"};
  if (type.kind == Kind::kInt64) return Meaning{type, unary<same>, "$1"};
  return Meaning{decimal_of(0), unary<ceil_m>, "ceil($1)::$T", kPowerOfTen[type.scale]};
}

Cell round_d(const Cell& a, const Step& step) {
  const auto power = static_cast<double>(step.p1);
  return Cell::of_double(std::round(a.d * power) / power);
}
Cell round_m(const Cell& a, const Step& step) { return narrow(divide_rounded(a.i, step.p1)); }
Result<Meaning> resolve_round(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, want_number(args[0], "round"));
  int64_t digits = 0;
  if (args.size() == 2) {
    const auto* number = std::get_if<int64_t>(&args[1]->literal);
    if (args[1]->kind != Typed::Kind::kLiteral || number == nullptr || *number < 0 || *number > 15)
      return type_error("the digits of round are no whole number from 0 to 15 written as such",
                        "write round(x, 2)");
    digits = *number;
    args.pop_back();  // it is part of the meaning now
  }
  if (type.kind == Kind::kInt64) return Meaning{type, unary<same>, "$1"};
  const std::string text = fmt::format("{}", digits);
  if (type.kind == Kind::kDouble && digits == 0)
    return Meaning{type, unary<round_d>, "round($1)", 1};
  if (type.kind == Kind::kDouble)
    return Meaning{
        type, unary<round_d>, "qw_finite(round($1 * 1e$P) / 1e$P)", kPowerOfTen[digits], 0, text};
  if (digits >= type.scale) return Meaning{type, unary<same>, "$1"};
  const auto scale = static_cast<uint8_t>(digits);
  return Meaning{decimal_of(scale),
                 unary<round_m>,
                 "round($1, $P)::$T",
                 kPowerOfTen[type.scale - scale],
                 0,
                 text};
}

constexpr std::string_view kGroup = "Mathematics";
const std::vector<Function> kMath = {
    {"abs",
     kGroup,
     "abs(x)",
     "The size without the sign.",
     1,
     1,
     resolve_abs,
     {{"abs(-2)", "2"}, {"abs(-9223372036854775808)", "null"}}},
    {"sign",
     kGroup,
     "sign(x)",
     "-1, 0 or 1 as int64.",
     1,
     1,
     resolve_sign,
     {{"sign(-0.5)", "-1"}, {"sign(0)", "0"}}},
    {"ln",
     kGroup,
     "ln(x)",
     "Natural logarithm; null at and below zero.",
     1,
     1,
     resolve_ln,
     {{"ln(1)", "0"}, {"ln(0)", "null"}, {"ln(-1)", "null"}}},
    {"log10",
     kGroup,
     "log10(x)",
     "Logarithm to base ten; null at and below zero.",
     1,
     1,
     resolve_log10,
     {{"log10(1000)", "3"}, {"log10(-0.0)", "null"}}},
    {"exp",
     kGroup,
     "exp(x)",
     "e to the power x; null when it is too large.",
     1,
     1,
     resolve_exp,
     {{"exp(0)", "1"}, {"exp(1000)", "null"}}},
    {"sqrt",
     kGroup,
     "sqrt(x)",
     "Square root; null below zero.",
     1,
     1,
     resolve_sqrt,
     {{"sqrt(9)", "3"}, {"sqrt(-1)", "null"}}},
    {"power",
     kGroup,
     "power(x, y)",
     "x to the power y; null where it is not a finite number.",
     2,
     2,
     resolve_power,
     {{"power(2, 10)", "1024"}, {"power(0, -1)", "null"}, {"power(-8, 0.5)", "null"}}},
    {"floor",
     kGroup,
     "floor(x)",
     "The next whole number below or equal.",
     1,
     1,
     resolve_floor,
     {{"floor(-1.5)", "-2"}, {"floor(cast(-1.5 as decimal(5,1)))", "-2"}}},
    {"ceil",
     kGroup,
     "ceil(x)",
     "The next whole number above or equal.",
     1,
     1,
     resolve_ceil,
     {{"ceil(1.2)", "2"}, {"ceil(cast(-1.5 as decimal(5,1)))", "-1"}}},
    {"round",
     kGroup,
     "round(x[, digits])",
     "Rounds half away from zero to 0 to 15 digits after the point. For a double it is "
     "round(x * 10^digits) / 10^digits.",
     1,
     2,
     resolve_round,
     {{"round(2.5)", "3"},
      {"round(-2.5)", "-3"},
      {"round(0.49999999999999994)", "0"},
      {"round(3.14159, 2)", "3.14"},
      {"round(cast(2.345 as decimal(9,3)), 2)", "2.35"}}}};

}  // namespace

std::span<const Function> math_functions() { return kMath; }

}  // namespace qw::features
