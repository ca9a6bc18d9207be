#include <fmt/format.h>

#include <charconv>

#include "features/expression/functions.h"
#include "schema/settings.h"

namespace qw::features {
namespace {

std::vector<std::string> column_names(const schema::Schema& inputs) {
  std::vector<std::string> names;
  for (const schema::Field& field : inputs.fields()) names.push_back(field.name);
  return names;
}

class Checker {
 public:
  Checker(std::string_view text, const schema::Schema& inputs) : text_(text), inputs_(inputs) {}

  Result<TypedPtr> check(const Ast& ast) {
    auto node = std::make_unique<Typed>();
    node->offset = ast.offset;
    switch (ast.kind) {
      case Ast::Kind::kNull: return node;
      case Ast::Kind::kBool:
        node->type = schema::kBool;
        node->literal = int64_t{ast.text == "true"};
        return node;
      case Ast::Kind::kString:
        node->type = schema::kString;
        node->literal = ast.text;
        return node;
      case Ast::Kind::kNumber: return number(ast, std::move(node));
      case Ast::Kind::kName: return column(ast, std::move(node));
      case Ast::Kind::kCall: return call(ast, std::move(node));
    }
    return node;
  }

 private:
  Error at(const Ast& ast, std::string_view message, std::string how) const {
    return expression_error(text_, ast.offset, message, std::move(how));
  }
  Result<TypedPtr> number(const Ast& ast, TypedPtr node) {
    const char* const end = ast.text.data() + ast.text.size();
    node->number_text = ast.text;
    if (ast.text.find_first_of(".eE") == std::string::npos) {
      int64_t value = 0;
      if (std::from_chars(ast.text.data(), end, value).ec != std::errc{})
        return at(ast, fmt::format("{} is outside int64", ast.text), "write it with a point");
      node->type = schema::kInt64;
      node->literal = value;
      return node;
    }
    double value = 0;
    if (std::from_chars(ast.text.data(), end, value).ec != std::errc{} || !std::isfinite(value))
      return at(ast, fmt::format("{} is outside double", ast.text), "");
    node->type = schema::kDouble;
    node->literal = value + 0.0;
    return node;
  }
  Result<TypedPtr> column(const Ast& ast, TypedPtr node) {
    const auto index = inputs_.index_of(ast.text);
    if (!index)
      return at(ast, fmt::format("no column or feature '{}'", ast.text),
                schema::suggestion(ast.text, column_names(inputs_)));
    node->kind = Typed::Kind::kColumn;
    node->type = inputs_.field(*index).type;
    node->column = *index;
    node->column_name = ast.text;
    return node;
  }
  Result<TypedPtr> call(const Ast& ast, TypedPtr node) {
    const Function* const function = find_function(ast.text);
    if (function == nullptr) return unknown_function(ast);
    if (ast.args.size() < function->least_args || ast.args.size() > function->most_args)
      return at(
          ast, fmt::format("{} takes {}, not {}", ast.text, count_text(*function), ast.args.size()),
          fmt::format("write {}", function->form));
    node->kind = Typed::Kind::kCall;
    node->function = function;
    if (!ast.type_text.empty()) {
      auto type = schema::parse_type(ast.type_text);
      if (!type) return at(ast, type.error().message, type.error().how_to_mend);
      node->type = *type;
    }
    for (const AstPtr& arg : ast.args) {
      QW_ASSIGN(TypedPtr checked, check(*arg));
      node->args.push_back(std::move(checked));
    }
    auto meaning = function->resolve(node->args, *node);
    if (!meaning) return at(ast, meaning.error().message, meaning.error().how_to_mend);
    node->meaning = std::move(*meaning);
    node->type = node->meaning.type;
    return node;
  }
  Error unknown_function(const Ast& ast) const {
    std::vector<std::string> names;
    for (const Function& function : all_functions())
      if (function.form.starts_with(function.name) && function.name != "case")
        names.emplace_back(function.name);
    return at(ast, fmt::format("no function '{}'", ast.text), schema::suggestion(ast.text, names));
  }
  static std::string count_text(const Function& function) {
    if (function.least_args != function.most_args)
      return fmt::format("{} to {} arguments", function.least_args, function.most_args);
    return fmt::format("{} argument{}", function.least_args, function.least_args == 1 ? "" : "s");
  }

  std::string_view text_;
  const schema::Schema& inputs_;
};

}  // namespace

Result<TypedPtr> check_expression(std::string_view text, const Ast& ast,
                                  const schema::Schema& inputs) {
  return Checker(text, inputs).check(ast);
}

}  // namespace qw::features
