#include "features/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "features/duration.h"
#include "features/kernels/builtin.h"
#include "schema/settings.h"

namespace qw::features {
namespace {

using schema::Kind;
using schema::Type;

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
  const AggregateRules rules = aggregate.kernel->rules();
  if (ast.args.size() != (rules.setting ? 2u : 1u))
    return expression_error(text, ast.offset,
                            fmt::format("{} has {} arguments", ast.text, ast.args.size()),
                            fmt::format("write {}", rules.form));
  if (!rules.setting) return {};
  QW_ASSIGN(aggregate.setting, second_number(text, ast));
  const auto fits = aggregate.kernel->check_setting(aggregate);
  if (!fits.ok())
    return expression_error(text, ast.args[1]->offset, fits.error().message,
                            fits.error().how_to_mend);
  return {};
}

Result<void> decide_type(std::string_view text, const Ast& ast, Aggregate& aggregate) {
  const Type argument = aggregate.argument ? aggregate.argument->type() : schema::kInt64;
  if (aggregate.kernel->rules().numbers_only && !argument.is_numeric())
    return expression_error(
        text, ast.args[0]->offset,
        fmt::format("{} needs a number, not {}", ast.text, argument.to_string()),
        argument.kind == Kind::kBool ? "write count(case when ... then 1 end)" : "");
  aggregate.kernel->decide(argument, aggregate);
  return {};
}

std::string those_there_are(std::string_view written, const std::vector<std::string>& names) {
  const std::string nearest = schema::suggestion(written, names);
  return fmt::format("{}{}there are {}", nearest, nearest.empty() ? "" : "; ",
                     fmt::join(names, ", "));
}

}  // namespace

std::string label_of(const Aggregate& aggregate) { return aggregate.kernel->label(aggregate); }

std::string_view name_of(ParityClass parity) {
  switch (parity) {
    case ParityClass::kExact: return "exact";
    case ParityClass::kFloat: return "float";
    case ParityClass::kSketch: return "sketch";
  }
  return "unknown";
}

Result<Aggregate> compile_aggregate(std::string_view name, std::string_view full_text,
                                    const schema::Schema& source, const AggregateTable& table) {
  Aggregate aggregate;
  aggregate.name = std::string(name);
  QW_ASSIGN(const std::string_view text, cut_max_age(full_text, aggregate.max_age_us));
  QW_ASSIGN(const AstPtr ast, parse_expression(text));
  aggregate.kernel = ast->kind == Ast::Kind::kCall ? table.find(ast->text) : nullptr;
  if (aggregate.kernel == nullptr)
    return expression_error(text, ast->offset, fmt::format("'{}' is not an aggregate", ast->text),
                            those_there_are(ast->text, table.names()));
  const AggregateRules rules = aggregate.kernel->rules();
  if (aggregate.max_age_us != 0 && !rules.max_age)
    return expression_error(full_text, text.size() + 1, "max_age goes with first and last only",
                            "narrow the window instead");
  if (!ast->args.empty() || !rules.bare) {
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
