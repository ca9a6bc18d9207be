#include "features/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "features/duration.h"
#include "schema/settings.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

struct KindName {
  std::string_view name;
  AggregateKind kind;
  std::string_view form;
};
constexpr KindName kKinds[] = {
    {"count", AggregateKind::kCount, "count() or count(x)"},
    {"count_distinct", AggregateKind::kCountDistinct, "count_distinct(x)"},
    {"sum", AggregateKind::kSum, "sum(x)"},
    {"mean", AggregateKind::kMean, "mean(x)"},
    {"min", AggregateKind::kMin, "min(x)"},
    {"max", AggregateKind::kMax, "max(x)"},
    {"variance", AggregateKind::kVariance, "variance(x)"},
    {"stddev", AggregateKind::kStddev, "stddev(x)"},
    {"first", AggregateKind::kFirst, "first(x) [max_age 1h]"},
    {"last", AggregateKind::kLast, "last(x) [max_age 1h]"},
    {"last_k", AggregateKind::kLastK, "last_k(x, 3)"},
    {"quantile", AggregateKind::kQuantile, "quantile(x, 0.95)"},
    {"rate", AggregateKind::kRate, "rate() or rate(x)"}};
constexpr int64_t kLastKMost = 100;

const KindName& entry_of(AggregateKind kind) {
  return *std::ranges::find(kKinds, kind, &KindName::kind);
}

// "last(x) max_age 1h" -> "last(x)", and the hour.
Result<std::string_view> cut_max_age(std::string_view text, int64_t& max_age_us) {
  const size_t at = text.rfind(" max_age ");
  if (at == std::string_view::npos || text.find(')', at) != std::string_view::npos) return text;
  std::string_view duration = text.substr(at + 9);
  while (duration.ends_with(' ')) duration.remove_suffix(1);
  while (duration.starts_with(' ')) duration.remove_prefix(1);
  auto parsed = parse_duration_us(duration);
  if (!parsed)
    return expression_error(text, at + 9, parsed.error().message, parsed.error().how_to_mend);
  max_age_us = *parsed;
  return text.substr(0, at);
}

// The text between two offsets, so that the argument compiles with its own spelling. Keeps columns
// of errors right by blanking what is before.
std::string blank_before(std::string_view text, size_t begin, size_t end) {
  return std::string(begin, ' ') + std::string(text.substr(begin, end - begin));
}

// Where the first argument ends: the comma or parenthesis that closes it.
size_t argument_end(std::string_view text, size_t begin) {
  int depth = 0;
  char quote = '\0';
  for (size_t at = begin; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(') {
      ++depth;
    } else if ((c == ')' || c == ',') && depth == 0) {
      return at;
    } else if (c == ')') {
      --depth;
    }
  }
  return text.size();
}

Result<double> second_number(std::string_view text, const Ast& ast) {
  const Ast& arg = *ast.args[1];
  double value = 0;
  const char* const end = arg.text.data() + arg.text.size();
  if (arg.kind != Ast::Kind::kNumber || std::from_chars(arg.text.data(), end, value).ptr != end)
    return expression_error(text, arg.offset, "expected a number written as such", "");
  return value;
}

Result<void> read_setting(std::string_view text, const Ast& ast, Aggregate& aggregate) {
  const bool wants =
      aggregate.kind == AggregateKind::kQuantile || aggregate.kind == AggregateKind::kLastK;
  if (ast.args.size() != (wants ? 2u : 1u))
    return expression_error(text, ast.offset,
                            fmt::format("{} has {} arguments", ast.text, ast.args.size()),
                            fmt::format("write {}", entry_of(aggregate.kind).form));
  if (!wants) return {};
  QW_ASSIGN(const double value, second_number(text, ast));
  if (aggregate.kind == AggregateKind::kQuantile) {
    if (!(value >= 0 && value <= 1))
      return expression_error(text, ast.args[1]->offset, "a quantile lies between 0 and 1",
                              "write 0.95 for the 95th percentile");
    aggregate.quantile = value;
    return {};
  }
  if (value != std::floor(value) || value < 1 || value > kLastKMost)
    return expression_error(text, ast.args[1]->offset,
                            fmt::format("last_k keeps 1 to {} values", kLastKMost), "");
  aggregate.k = static_cast<int64_t>(value);
  return {};
}

Result<void> decide_type(std::string_view text, const Ast& ast, Aggregate& aggregate) {
  const Type argument = aggregate.argument ? aggregate.argument->type() : schema::kInt64;
  switch (aggregate.kind) {
    case AggregateKind::kCount:
    case AggregateKind::kCountDistinct: aggregate.type = schema::kInt64; return {};
    case AggregateKind::kRate:
      aggregate.type = schema::kDouble;
      aggregate.parity = ParityClass::kFloat;
      return {};
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kFirst:
    case AggregateKind::kLast:
    case AggregateKind::kLastK: aggregate.type = argument; return {};
    default: break;
  }
  if (!argument.is_numeric())
    return expression_error(
        text, ast.args[0]->offset,
        fmt::format("{} needs a number, not {}", ast.text, argument.to_string()),
        argument.kind == Kind::kBool ? "write count(case when ... then 1 end)" : "");
  aggregate.type = schema::kDouble;
  aggregate.parity = ParityClass::kFloat;
  if (aggregate.kind != AggregateKind::kSum || argument.kind == Kind::kDouble) return {};
  aggregate.parity = ParityClass::kExact;
  aggregate.type =
      argument.kind == Kind::kDecimal ? Type{Kind::kDecimal, 18, argument.scale} : schema::kInt64;
  return {};
}

}  // namespace

std::string_view name_of(AggregateKind kind) { return entry_of(kind).name; }

std::string_view name_of(ParityClass parity) {
  switch (parity) {
    case ParityClass::kExact: return "exact";
    case ParityClass::kFloat: return "float";
    case ParityClass::kSketch: return "sketch";
  }
  return "unknown";
}

Result<Aggregate> compile_aggregate(std::string_view name, std::string_view full_text,
                                    const schema::Schema& source) {
  Aggregate aggregate;
  aggregate.name = std::string(name);
  QW_ASSIGN(const std::string_view text, cut_max_age(full_text, aggregate.max_age_us));
  QW_ASSIGN(const AstPtr ast, parse_expression(text));
  const auto entry = std::ranges::find(kKinds, ast->text, &KindName::name);
  if (ast->kind != Ast::Kind::kCall || entry == std::end(kKinds)) {
    std::vector<std::string> names;
    for (const KindName& known : kKinds) names.emplace_back(known.name);
    return expression_error(text, ast->offset, fmt::format("'{}' is not an aggregate", ast->text),
                            schema::suggestion(ast->text, names));
  }
  aggregate.kind = entry->kind;
  if (aggregate.max_age_us != 0 && aggregate.kind != AggregateKind::kLast &&
      aggregate.kind != AggregateKind::kFirst)
    return expression_error(full_text, text.size() + 1, "max_age goes with first and last only",
                            "narrow the window instead");
  const bool bare = ast->args.empty() && (aggregate.kind == AggregateKind::kCount ||
                                          aggregate.kind == AggregateKind::kRate);
  if (!bare) {
    QW_TRY(read_setting(text, *ast, aggregate));
    const size_t begin = text.find('(', ast->offset) + 1;
    QW_ASSIGN(aggregate.argument,
              Expression::compile(blank_before(text, begin, argument_end(text, begin)), source));
  }
  QW_TRY(decide_type(text, *ast, aggregate));
  // first, last, min and max of what a math library computed may differ in the last digit.
  if (aggregate.argument && aggregate.argument->calls_math_library() &&
      aggregate.type.kind == Kind::kDouble)
    aggregate.parity = ParityClass::kFloat;
  return aggregate;
}

}  // namespace qw::features
