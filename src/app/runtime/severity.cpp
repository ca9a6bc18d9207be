#include "app/runtime/severity.h"

#include <string_view>

#include "features/expression/functions.h"

namespace qw::app {
namespace {

using features::Typed;

void collect(const Typed& expression, std::vector<WrongSeverity>& wrong) {
  if (expression.kind == Typed::Kind::kLiteral) {
    const auto* word = std::get_if<std::string>(&expression.literal);
    if (word != nullptr && *word != "info" && *word != "warning" && *word != "critical")
      wrong.push_back({*word, expression.offset});
    return;
  }
  if (expression.kind != Typed::Kind::kCall || expression.function == nullptr) return;
  const std::string_view name = expression.function->name;
  const size_t args = expression.args.size();
  for (size_t at = 0; at < args; ++at) {
    // case: condition, value, condition, value, ..., [otherwise].
    const bool condition = name == "case" && at % 2 == 0 && at + 1 < args;
    if ((name == "case" && !condition) || name == "coalesce") collect(*expression.args[at], wrong);
  }
}

}  // namespace

std::vector<WrongSeverity> wrong_severities(const Typed& expression) {
  std::vector<WrongSeverity> wrong;
  collect(expression, wrong);
  return wrong;
}

}  // namespace qw::app
