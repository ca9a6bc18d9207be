#include "features/expression/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "features/expression/kernels.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

// "12.50" -> 1250 at scale 2; null when the text has an exponent or too many digits.
std::optional<int64_t> exact_decimal(std::string_view text, uint8_t scale) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  Int128 value = 0;
  int fraction = -1;
  for (const char c : text) {
    if (c == '.') {
      fraction = 0;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
    if (fraction >= 0) ++fraction;
    if (value >= kPowerOfTen[18]) return std::nullopt;
  }
  fraction = std::max(fraction, 0);
  if (fraction > scale) return std::nullopt;
  value *= kPowerOfTen[scale - fraction];
  if (value >= kPowerOfTen[18]) return std::nullopt;
  return static_cast<int64_t>(negative ? -value : value);
}

// How many digits after the point a plain number literal has; nothing for 1e5.
std::optional<uint8_t> literal_scale(const Typed& arg) {
  if (arg.kind != Typed::Kind::kLiteral || arg.number_text.empty()) return std::nullopt;
  if (arg.number_text.find_first_of("eE") != std::string::npos) return std::nullopt;
  const size_t point = arg.number_text.find('.');
  const size_t digits = point == std::string::npos ? 0 : arg.number_text.size() - point - 1;
  if (digits > 18 || !exact_decimal(arg.number_text, static_cast<uint8_t>(digits)))
    return std::nullopt;
  return static_cast<uint8_t>(digits);
}

}  // namespace

std::span<const Function> all_functions() {
  static const std::vector<Function> kAll = [] {
    std::vector<Function> all;
    for (const auto group :
         {arithmetic_functions(), logic_functions(), math_functions(), text_and_time_functions()})
      all.insert(all.end(), group.begin(), group.end());
    return all;
  }();
  return kAll;
}

const Function* find_function(std::string_view name) {
  const auto all = all_functions();
  const auto found = std::ranges::find(all, name, &Function::name);
  return found == all.end() ? nullptr : &*found;
}

Error type_error(std::string message, std::string how_to_mend) {
  return Error{ErrorCode::kBadInput, std::move(message), "", std::move(how_to_mend)};
}

Result<void> coerce(TypedPtr& arg, Type type) {
  if (!arg->type) {
    arg->type = type;
    return {};
  }
  if (*arg->type == type) return {};
  if (type.kind == Kind::kDecimal && literal_scale(*arg)) {
    const auto exact = exact_decimal(arg->number_text, type.scale);
    if (!exact)
      return type_error(fmt::format("{} does not fit {}", arg->number_text, type.to_string()));
    arg->literal = *exact;
    arg->type = type;
    return {};
  }
  QW_ASSIGN(Meaning meaning, cast_meaning(*arg->type, type));
  auto cast = std::make_unique<Typed>();
  cast->kind = Typed::Kind::kCall;
  cast->type = type;
  cast->function = find_function("cast");
  cast->offset = arg->offset;
  cast->meaning = std::move(meaning);
  cast->args.push_back(std::move(arg));
  arg = std::move(cast);
  return {};
}

Result<std::optional<Type>> common_type(std::span<TypedPtr> args) {
  std::optional<Type> common;
  bool has_decimal = false;
  for (const TypedPtr& arg : args) has_decimal |= arg->type && arg->type->kind == Kind::kDecimal;
  for (const TypedPtr& arg : args) {
    if (!arg->type) continue;
    Type type = *arg->type;
    // Beside a decimal, a plain literal such as 0.5 is that decimal.
    if (has_decimal && literal_scale(*arg)) type = decimal_of(*literal_scale(*arg));
    if (!common || *common == type) {
      common = type;
      continue;
    }
    if (!common->is_numeric() || !type.is_numeric())
      return type_error(
          fmt::format("{} and {} do not go together", common->to_string(), type.to_string()),
          "cast one of them to the other's type");
    if (common->kind == Kind::kDouble || type.kind == Kind::kDouble)
      common = schema::kDouble;
    else
      common = decimal_of(std::max(common->scale, type.scale));
  }
  if (common && common->kind == Kind::kDecimal) common = decimal_of(common->scale);
  return common;
}

std::string expressions_reference() {
  std::string page =
      "# Expressions\n\n"
      "<!-- Generated from the function table in src/features/expression; a test compares. -->\n\n"
      "One small, typed language in the shape of SQL, used for aggregate arguments, derived "
      "features, rules and output expressions. Each line below holds on every executor; the "
      "examples are run as tests on each.\n\n"
      "- Columns are written as they are named (`amount`), features of a view with its name "
      "(`card.n_1m`), odd names in double quotes. Text stands in single quotes (`''` for one "
      "quote). Names are case-sensitive, keywords and functions are not.\n"
      "- Types: bool, int64, double, string, timestamp (int64 microseconds UTC), "
      "decimal(precision, scale) with at most 18 digits. A number with a point or exponent is a "
      "double; beside a decimal it is that decimal, exactly.\n"
      "- Null spreads: a function of null is null unless its line says otherwise.\n"
      "- There are no run-time errors. Whatever is not a finite number, has no value (division by "
      "zero, logarithm of a negative) or leaves its type's range (int64, 18 decimal digits) is "
      "null. NaN and infinities never appear; -0.0 is 0.0.\n"
      "- Precedence, lowest first: `or`, `and`, `not`, comparisons with `is`, `between` and `in`, "
      "`||`, `+ -`, `* / %`, unary `-`.\n";
  std::string_view group;
  for (const Function& function : all_functions()) {
    if (function.group != group) {
      group = function.group;
      page += fmt::format("\n## {}\n\n| form | meaning | examples |\n|---|---|---|\n", group);
    }
    const auto escaped = [](std::string_view text) {
      std::string out;
      for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
      return out;
    };
    std::string examples;
    for (const Example& example : function.examples)
      examples += fmt::format("{}`{}` is {}", examples.empty() ? "" : "; ",
                              escaped(example.expression), escaped(example.result));
    page += fmt::format("| `{}` | {} | {} |\n", escaped(function.form), escaped(function.meaning),
                        examples);
  }
  return page;
}

}  // namespace qw::features
