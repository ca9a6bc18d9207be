// Comparison, three-valued logic, nulls and choices.
#include <fmt/format.h>

#include "features/expression/functions.h"
#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

enum Order { kEqual, kNotEqual, kLess, kLessEqual, kMore, kMoreEqual };

template <Order O, class T>
bool holds(const T& a, const T& b) {
  if constexpr (O == kEqual) return a == b;
  if constexpr (O == kNotEqual) return a != b;
  if constexpr (O == kLess) return a < b;
  if constexpr (O == kLessEqual) return a <= b;
  if constexpr (O == kMore) return a > b;
  return a >= b;
}
template <Order O>
Cell compare_i(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(holds<O>(a.i, b.i));
}
// Decimals and int64 of different scales, brought to one scale in 128 bits.
template <Order O>
Cell compare_m(const Cell& a, const Cell& b, const Step& step) {
  return Cell::of_int(holds<O>(Int128{a.i} * step.p1, Int128{b.i} * step.p2));
}
template <Order O>
Cell compare_d(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(holds<O>(a.d, b.d));
}
template <Order O>
Cell compare_s(const Cell& a, const Cell& b, const Step&) {
  return Cell::of_int(holds<O>(a.text, b.text));
}

uint8_t scale_of(const Type& type) { return type.kind == Kind::kDecimal ? type.scale : uint8_t{0}; }

template <Order O>
Result<Meaning> resolve_compare(TypedArgs& args, const Typed&) {
  static constexpr std::string_view kSql[] = {"($1 = $2)",  "($1 <> $2)", "($1 < $2)",
                                              "($1 <= $2)", "($1 > $2)",  "($1 >= $2)"};
  for (size_t i = 0; i < 2; ++i)
    if (!args[i]->type) QW_TRY(coerce(args[i], args[1 - i]->type.value_or(schema::kInt64)));
  QW_ASSIGN(const std::optional<Type> type, common_type(args));
  if (type->kind == Kind::kDecimal) {
    for (TypedPtr& arg : args)
      if (arg->type->kind == Kind::kDouble) QW_TRY(coerce(arg, *type));  // a literal
    const uint8_t a = scale_of(*args[0]->type);
    const uint8_t b = scale_of(*args[1]->type);
    return Meaning{schema::kBool, binary<compare_m<O>>, kSql[O], kPowerOfTen[a < b ? b - a : 0],
                   kPowerOfTen[b < a ? a - b : 0]};
  }
  for (TypedPtr& arg : args) QW_TRY(coerce(arg, *type));
  const Kernel kernel = type->kind == Kind::kDouble   ? binary<compare_d<O>>
                        : type->kind == Kind::kString ? binary<compare_s<O>>
                                                      : binary<compare_i<O>>;
  return Meaning{schema::kBool, kernel, kSql[O]};
}

Cell run_and(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  const Cell& b = frame.slot(step.args[1])[row];
  if ((!a.null && a.i == 0) || (!b.null && b.i == 0)) return Cell::of_int(0);
  return a.null || b.null ? Cell{} : Cell::of_int(1);
}
Cell run_or(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  const Cell& b = frame.slot(step.args[1])[row];
  if ((!a.null && a.i != 0) || (!b.null && b.i != 0)) return Cell::of_int(1);
  return a.null || b.null ? Cell{} : Cell::of_int(0);
}
Cell run_not(const Cell& a, const Step&) { return Cell::of_int(a.i == 0); }

Result<void> want_bools(TypedArgs& args, std::string_view where) {
  for (TypedPtr& arg : args) {
    if (!arg->type) QW_TRY(coerce(arg, schema::kBool));
    if (arg->type->kind != Kind::kBool)
      return type_error(fmt::format("{} needs conditions, not {}", where, arg->type->to_string()),
                        "compare the value, such as x > 0");
  }
  return {};
}
Result<Meaning> resolve_and(TypedArgs& args, const Typed&) {
  QW_TRY(want_bools(args, "and"));
  return Meaning{schema::kBool, each_row<run_and>, "($1 and $2)"};
}
Result<Meaning> resolve_or(TypedArgs& args, const Typed&) {
  QW_TRY(want_bools(args, "or"));
  return Meaning{schema::kBool, each_row<run_or>, "($1 or $2)"};
}
Result<Meaning> resolve_not(TypedArgs& args, const Typed&) {
  QW_TRY(want_bools(args, "not"));
  return Meaning{schema::kBool, unary<run_not>, "(not $1)"};
}

template <bool Null>
Cell run_is_null(const Step& step, const Frame& frame, size_t row) {
  return Cell::of_int(frame.slot(step.args[0])[row].null == Null);
}
Result<Meaning> resolve_is_null(TypedArgs& args, const Typed&) {
  if (!args[0]->type) QW_TRY(coerce(args[0], schema::kInt64));
  return Meaning{schema::kBool, each_row<run_is_null<true>>, "($1 is null)"};
}
Result<Meaning> resolve_is_not_null(TypedArgs& args, const Typed&) {
  if (!args[0]->type) QW_TRY(coerce(args[0], schema::kInt64));
  return Meaning{schema::kBool, each_row<run_is_null<false>>, "($1 is not null)"};
}

// Brings the values of a choice to one type.
Result<Type> settle(std::span<TypedPtr> values, std::string_view where) {
  QW_ASSIGN(const std::optional<Type> type, common_type(values));
  if (!type)
    return type_error(fmt::format("every value of {} is null, so it has no type", where),
                      "write cast(null as double), or another type");
  for (TypedPtr& value : values) QW_TRY(coerce(value, *type));
  return *type;
}

// Arguments: condition, value, condition, value, ..., [otherwise].
Cell run_case(const Step& step, const Frame& frame, size_t row) {
  size_t at = 0;
  for (; at + 1 < step.args.size(); at += 2) {
    const Cell& condition = frame.slot(step.args[at])[row];
    if (!condition.null && condition.i != 0) return frame.slot(step.args[at + 1])[row];
  }
  return at < step.args.size() ? frame.slot(step.args[at])[row] : Cell{};
}
Result<Meaning> resolve_case(TypedArgs& args, const Typed&) {
  TypedArgs conditions;
  TypedArgs values;
  for (size_t i = 0; i < args.size(); ++i)
    (i % 2 == 0 && i + 1 < args.size() ? conditions : values).push_back(std::move(args[i]));
  QW_TRY(want_bools(conditions, "when"));
  QW_ASSIGN(const Type type, settle(values, "case"));
  for (size_t i = 0; i < args.size(); ++i)
    args[i] = std::move(i % 2 == 0 && i + 1 < args.size() ? conditions[i / 2] : values[i / 2]);
  return Meaning{type, each_row<run_case>, "$case"};
}

Cell run_coalesce(const Step& step, const Frame& frame, size_t row) {
  for (const uint32_t arg : step.args)
    if (const Cell& cell = frame.slot(arg)[row]; !cell.null) return cell;
  return {};
}
Result<Meaning> resolve_coalesce(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, settle(args, "coalesce"));
  return Meaning{type, each_row<run_coalesce>, "coalesce($*)"};
}

template <Kind K>
bool less(const Cell& a, const Cell& b) {
  if constexpr (K == Kind::kDouble) return a.d < b.d;
  if constexpr (K == Kind::kString) return a.text < b.text;
  return a.i < b.i;
}
template <Kind K>
Cell run_nullif(const Step& step, const Frame& frame, size_t row) {
  const Cell& a = frame.slot(step.args[0])[row];
  const Cell& b = frame.slot(step.args[1])[row];
  return a.null || b.null || less<K>(a, b) || less<K>(b, a) ? a : Cell{};
}
Result<Meaning> resolve_nullif(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, settle(args, "nullif"));
  const Kernel kernel = type.kind == Kind::kDouble   ? each_row<run_nullif<Kind::kDouble>>
                        : type.kind == Kind::kString ? each_row<run_nullif<Kind::kString>>
                                                     : each_row<run_nullif<Kind::kInt64>>;
  return Meaning{type, kernel, "nullif($1, $2)"};
}

template <Kind K, bool Least>
Cell run_extreme(const Step& step, const Frame& frame, size_t row) {
  Cell best;
  for (const uint32_t arg : step.args) {
    const Cell& cell = frame.slot(arg)[row];
    if (cell.null) continue;
    if (best.null || (Least ? less<K>(cell, best) : less<K>(best, cell))) best = cell;
  }
  return best;
}
template <bool Least>
Result<Meaning> resolve_extreme(TypedArgs& args, const Typed&) {
  QW_ASSIGN(const Type type, settle(args, Least ? "least" : "greatest"));
  const Kernel kernel = type.kind == Kind::kDouble   ? each_row<run_extreme<Kind::kDouble, Least>>
                        : type.kind == Kind::kString ? each_row<run_extreme<Kind::kString, Least>>
                                                     : each_row<run_extreme<Kind::kInt64, Least>>;
  return Meaning{type, kernel, Least ? "least($*)" : "greatest($*)"};
}

constexpr std::string_view kCompare = "Comparison";
const std::vector<Function> kLogic = {
    {"=",
     kCompare,
     "a = b",
     "Equal. Null when either side is null. Text compares byte by byte; int64 and decimals "
     "compare exactly; next to a double the other side becomes a double.",
     2,
     2,
     resolve_compare<kEqual>,
     {{"1 = 1.0", "true"}, {"null = 1", "null"}}},
    {"<>",
     kCompare,
     "a <> b",
     "Not equal (also `!=`).",
     2,
     2,
     resolve_compare<kNotEqual>,
     {{"'a' <> 'b'", "true"}}},
    {"<",
     kCompare,
     "a < b",
     "Less.",
     2,
     2,
     resolve_compare<kLess>,
     {{"2 < 10", "true"}, {"'2' < '10'", "false"}}},
    {"<=",
     kCompare,
     "a <= b",
     "Less or equal.",
     2,
     2,
     resolve_compare<kLessEqual>,
     {{"cast(1.10 as decimal(5,2)) <= 1.1", "true"}}},
    {">", kCompare, "a > b", "More.", 2, 2, resolve_compare<kMore>, {{"-0.0 > 0.0", "false"}}},
    {">=",
     kCompare,
     "a >= b",
     "More or equal. `x between a and b` means `x >= a and x <= b`; `x in (a, b)` means `x = a "
     "or x = b`; both may stand after `not`.",
     2,
     2,
     resolve_compare<kMoreEqual>,
     {{"2 between 1 and 2", "true"},
      {"2 not in (1, null)", "null"},
      {"2 in (2, null)", "true"},
      {"3 not between 1 and 2", "true"}}},
    {"is null",
     kCompare,
     "a is null",
     "True when the value is null, never null itself.",
     1,
     1,
     resolve_is_null,
     {{"1 / 0 is null", "true"}}},
    {"is not null",
     kCompare,
     "a is not null",
     "The opposite.",
     1,
     1,
     resolve_is_not_null,
     {{"1 is not null", "true"}}},
    {"and",
     "Logic",
     "a and b",
     "False when either side is false, else null when either is null.",
     2,
     2,
     resolve_and,
     {{"false and null", "false"}, {"true and null", "null"}}},
    {"or",
     "Logic",
     "a or b",
     "True when either side is true, else null when either is null.",
     2,
     2,
     resolve_or,
     {{"true or null", "true"}, {"false or null", "null"}}},
    {"not",
     "Logic",
     "not a",
     "The opposite; null stays null.",
     1,
     1,
     resolve_not,
     {{"not false", "true"}, {"not null", "null"}}},
    {"case",
     "Choices",
     "case when c then a [when ...] [else b] end",
     "The first value whose condition is true, else the last, else null. `case x when 1 then "
     "...` "
     "compares x.",
     2,
     200,
     resolve_case,
     {{"case when 1 > 2 then 'a' when null then 'b' else 'c' end", "'c'"},
      {"case 2 when 1 then 10 when 2 then 20 end", "20"},
      {"case when false then 1 end", "null"}}},
    {"coalesce",
     "Choices",
     "coalesce(a, b, ...)",
     "The first that is not null.",
     1,
     100,
     resolve_coalesce,
     {{"coalesce(null, 2, 3)", "2"}}},
    {"nullif",
     "Choices",
     "nullif(a, b)",
     "Null when a equals b, else a.",
     2,
     2,
     resolve_nullif,
     {{"nullif(0, 0)", "null"}, {"nullif(1, null)", "1"}}},
    {"least",
     "Choices",
     "least(a, b, ...)",
     "The smallest that is not null; null when all are.",
     1,
     100,
     resolve_extreme<true>,
     {{"least(3, null, 2)", "2"}}},
    {"greatest",
     "Choices",
     "greatest(a, b, ...)",
     "The largest that is not null; null when all are.",
     1,
     100,
     resolve_extreme<false>,
     {{"greatest(1, 2.5)", "2.5"}}}};

}  // namespace

std::span<const Function> logic_functions() { return kLogic; }

}  // namespace qw::features
