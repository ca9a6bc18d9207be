// The one table of operators and functions. The checker, the evaluator, every SQL dialect and
// docs/reference/expressions.md read it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "features/expression/typed.h"

namespace qw::features {

// An expression and its one right answer: a line of the reference page and a test. Static text.
struct Example {
  std::string_view expression;
  std::string_view result;  // as Value text: 1, 0.5, 'a', true, null
};

// One row of the table: an operator or function, what it means and how its types are decided.
// Static and constant; any thread.
struct Function {
  std::string_view name;     // as in Ast::text
  std::string_view group;    // a heading of the reference page
  std::string_view form;     // "round(x, digits)"
  std::string_view meaning;  // one or two sentences for the reference page
  size_t least_args;
  size_t most_args;
  // Decides types; may wrap arguments in casts. The message alone on error: the checker adds the
  // place.
  Result<Meaning> (*resolve)(TypedArgs& args, const Typed& call);
  std::vector<Example> examples;  // each is a test on every executor
};

std::span<const Function> all_functions();
const Function* find_function(std::string_view name);
// docs/reference/expressions.md, whole.
std::string expressions_reference();

// For resolve functions.
constexpr schema::Type decimal_of(uint8_t scale) { return {schema::Kind::kDecimal, 18, scale}; }
Error type_error(std::string message, std::string how_to_mend = "");
// Gives the argument this type: literals change, everything else is wrapped in a cast. The types
// must be equal, int64 to double or decimal, or decimal to double or a larger scale.
Result<void> coerce(TypedPtr& arg, schema::Type type);
// The type that all given arguments can take without losing anything but double's precision.
// Nothing when all are untyped nulls.
Result<std::optional<schema::Type>> common_type(std::span<TypedPtr> args);
// `value` as `type`, wrapped in the cast's kernel; for casts, explicit and implied.
Result<Meaning> cast_meaning(const schema::Type& from, const schema::Type& to);

// The groups of the table, each in its own file.
std::span<const Function> arithmetic_functions();
std::span<const Function> logic_functions();
std::span<const Function> math_functions();
std::span<const Function> text_and_time_functions();

}  // namespace qw::features
