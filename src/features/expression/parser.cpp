#include <fmt/format.h>

#include <algorithm>

#include "features/expression/ast.h"
#include "features/expression/lexer.h"

namespace qw::features {
namespace {

AstPtr copy_of(const Ast& from) {
  auto copy = std::make_unique<Ast>();
  copy->kind = from.kind;
  copy->text = from.text;
  copy->type_text = from.type_text;
  copy->offset = from.offset;
  for (const AstPtr& arg : from.args) copy->args.push_back(copy_of(*arg));
  return copy;
}

AstPtr call(std::string name, size_t offset, AstPtr first = nullptr, AstPtr second = nullptr) {
  auto node = std::make_unique<Ast>();
  node->kind = Ast::Kind::kCall;
  node->text = std::move(name);
  node->offset = offset;
  if (first) node->args.push_back(std::move(first));
  if (second) node->args.push_back(std::move(second));
  return node;
}

size_t size_of(const Ast& node) {
  size_t size = 1;
  for (const AstPtr& arg : node.args) size += size_of(*arg);
  return size;
}

// Recursive descent, lowest precedence first:
// or, and, not, comparison and is/between/in, ||, + -, * / %, unary -, the rest.
class Parser {
 public:
  Parser(std::string_view text, std::vector<Token> tokens)
      : text_(text), tokens_(std::move(tokens)) {}

  Result<AstPtr> run() {
    QW_ASSIGN(AstPtr node, parse_or());
    if (now().kind != Token::Kind::kEnd)
      return error(fmt::format("unexpected '{}' after the end of the expression", now().text),
                   "join the parts with an operator such as + or and");
    return node;
  }

 private:
  const Token& now() const { return tokens_[at_]; }
  bool is(std::string_view text) const {
    return (now().kind == Token::Kind::kSymbol || now().kind == Token::Kind::kKeyword) &&
           now().text == text;
  }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    ++at_;
    return true;
  }
  Error error(std::string_view message, std::string how) const {
    return expression_error(text_, now().offset, message, std::move(how));
  }
  Result<void> expect(std::string_view text, std::string_view where) {
    if (take(text)) return {};
    return error(fmt::format("expected '{}' {}, found {}", text, where, found()), "");
  }
  std::string found() const {
    return now().kind == Token::Kind::kEnd ? "the end" : fmt::format("'{}'", now().text);
  }

  // between, in and case repeat what they compare; the repeats are bounded.
  Result<AstPtr> again(const Ast& node) {
    copied_ += size_of(node);
    if (copied_ > kCopiedMax)
      return error("too many nested between, in and case", "split it into derived features");
    return copy_of(node);
  }

  // One level of operators that all lean to the left.
  template <class Next>
  Result<AstPtr> left(std::initializer_list<std::string_view> operators, Next next) {
    QW_ASSIGN(AstPtr node, next());
    while (true) {
      const auto hit = std::ranges::find_if(operators, [&](std::string_view o) { return is(o); });
      if (hit == operators.end()) return node;
      const size_t offset = now().offset;
      ++at_;
      QW_ASSIGN(AstPtr right, next());
      node = call(std::string(*hit), offset, std::move(node), std::move(right));
    }
  }
  Result<AstPtr> parse_or() {
    if (++depth_ > kExpressionDepthMax)
      return error(fmt::format("nested deeper than {}", kExpressionDepthMax),
                   "split it into several derived features");
    auto node = left({"or"}, [this] { return parse_and(); });
    --depth_;
    return node;
  }
  Result<AstPtr> parse_and() {
    return left({"and"}, [this] { return parse_not(); });
  }
  Result<AstPtr> parse_not() {
    size_t count = 0;
    size_t offset = now().offset;
    while (take("not")) ++count;
    QW_ASSIGN(AstPtr node, parse_comparison());
    for (; count > 0; count -= 1) node = call("not", offset, std::move(node));
    return node;
  }
  Result<AstPtr> parse_comparison() {
    QW_ASSIGN(AstPtr node, parse_concat());
    while (true) {
      const size_t offset = now().offset;
      if (take("is")) {
        const bool negated = take("not");
        QW_TRY(expect("null", "after 'is'"));
        node = call(negated ? "is not null" : "is null", offset, std::move(node));
        continue;
      }
      const bool negated = is("not");
      if (negated) ++at_;
      if (take("between")) {
        QW_ASSIGN(AstPtr joined, parse_between(std::move(node), offset));
        node = std::move(joined);
      } else if (take("in")) {
        QW_ASSIGN(AstPtr joined, parse_in(std::move(node), offset));
        node = std::move(joined);
      } else if (negated) {
        return error("expected 'between' or 'in' after 'not'", "");
      } else {
        return parse_simple_comparison(std::move(node));
      }
      if (negated) node = call("not", offset, std::move(node));
    }
  }
  Result<AstPtr> parse_simple_comparison(AstPtr node) {
    for (const std::string_view symbol : {"=", "<>", "<", "<=", ">", ">="}) {
      if (!is(symbol)) continue;
      const size_t offset = now().offset;
      ++at_;
      QW_ASSIGN(AstPtr right, parse_concat());
      if (is("=") || is("<>") || is("<") || is("<=") || is(">") || is(">="))
        return error("comparisons cannot be chained", "write a < b and b < c");
      return call(std::string(symbol), offset, std::move(node), std::move(right));
    }
    return node;
  }
  Result<AstPtr> parse_between(AstPtr node, size_t offset) {
    QW_ASSIGN(AstPtr low, parse_concat());
    QW_TRY(expect("and", "inside 'between'"));
    QW_ASSIGN(AstPtr high, parse_concat());
    QW_ASSIGN(AstPtr same, again(*node));
    return call("and", offset, call(">=", offset, std::move(node), std::move(low)),
                call("<=", offset, std::move(same), std::move(high)));
  }
  Result<AstPtr> parse_in(AstPtr node, size_t offset) {
    QW_TRY(expect("(", "after 'in'"));
    AstPtr all;
    do {
      QW_ASSIGN(AstPtr item, parse_or());
      QW_ASSIGN(AstPtr subject, again(*node));
      AstPtr same = call("=", offset, std::move(subject), std::move(item));
      all = all ? call("or", offset, std::move(all), std::move(same)) : std::move(same);
    } while (take(","));
    QW_TRY(expect(")", "at the end of the list"));
    return all;
  }
  Result<AstPtr> parse_concat() {
    return left({"||"}, [this] { return parse_sum(); });
  }
  Result<AstPtr> parse_sum() {
    return left({"+", "-"}, [this] { return parse_product(); });
  }
  Result<AstPtr> parse_product() {
    return left({"*", "/", "%"}, [this] { return parse_unary(); });
  }
  Result<AstPtr> parse_unary() {
    const size_t offset = now().offset;
    bool negative = false;
    while (is("-") || is("+")) {
      if (is("-")) negative = !negative;
      ++at_;
    }
    QW_ASSIGN(AstPtr node, parse_primary());
    if (!negative) return node;
    if (node->kind == Ast::Kind::kNumber &&
        !node->text.starts_with('-')) {  // so that the lowest int64 can be written
      std::string text(1, '-');
      text += node->text;
      node->text = std::move(text);
      return node;
    }
    return call("negate", offset, std::move(node));
  }
  Result<AstPtr> parse_primary() {
    const Token token = now();
    auto node = std::make_unique<Ast>();
    node->offset = token.offset;
    node->text = token.text;
    if (token.kind == Token::Kind::kNumber) node->kind = Ast::Kind::kNumber;
    if (token.kind == Token::Kind::kString) node->kind = Ast::Kind::kString;
    if (token.kind == Token::Kind::kName) node->kind = Ast::Kind::kName;
    if (is("true") || is("false")) node->kind = Ast::Kind::kBool;
    if (node->kind != Ast::Kind::kNull || is("null")) {
      ++at_;
      if (node->kind == Ast::Kind::kName && take("(")) return parse_arguments(std::move(node));
      return node;
    }
    if (take("(")) {
      QW_ASSIGN(AstPtr inside, parse_or());
      QW_TRY(expect(")", "to close the parenthesis"));
      return inside;
    }
    if (take("case")) return parse_case(token.offset);
    if (take("cast")) return parse_cast(token.offset);
    return error(fmt::format("expected a value, found {}", found()),
                 "a value is a column, a number, a 'text', true, false, null, a function, case or "
                 "a parenthesis");
  }
  Result<AstPtr> parse_arguments(AstPtr node) {
    node->kind = Ast::Kind::kCall;
    for (char& c : node->text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (take(")")) return node;
    do {
      QW_ASSIGN(AstPtr arg, parse_or());
      node->args.push_back(std::move(arg));
    } while (take(","));
    QW_TRY(expect(")", "after the arguments"));
    return node;
  }
  Result<AstPtr> parse_case(size_t offset) {
    AstPtr node = call("case", offset);
    AstPtr subject;
    if (!is("when")) {
      QW_ASSIGN(subject, parse_or());
    }
    if (!is("when")) return error(fmt::format("expected 'when', found {}", found()), "");
    while (take("when")) {
      const size_t when = now().offset;
      QW_ASSIGN(AstPtr condition, parse_or());
      if (subject) {
        QW_ASSIGN(AstPtr same, again(*subject));
        condition = call("=", when, std::move(same), std::move(condition));
      }
      QW_TRY(expect("then", "after the condition"));
      QW_ASSIGN(AstPtr value, parse_or());
      node->args.push_back(std::move(condition));
      node->args.push_back(std::move(value));
    }
    if (take("else")) {
      QW_ASSIGN(AstPtr value, parse_or());
      node->args.push_back(std::move(value));
    }
    QW_TRY(expect("end", "to close 'case'"));
    return node;
  }
  Result<AstPtr> parse_cast(size_t offset) {
    QW_TRY(expect("(", "after 'cast'"));
    QW_ASSIGN(AstPtr value, parse_or());
    QW_TRY(expect("as", "after the value of 'cast'"));
    AstPtr node = call("cast", offset, std::move(value));
    if (now().kind != Token::Kind::kName)
      return error(fmt::format("expected a type, found {}", found()), "");
    node->type_text = now().text;
    ++at_;
    if (take("(")) {
      node->type_text += "(" + now().text;
      ++at_;
      QW_TRY(expect(",", "between precision and scale"));
      node->type_text += "," + now().text + ")";
      ++at_;
      QW_TRY(expect(")", "after the scale"));
    }
    QW_TRY(expect(")", "to close 'cast'"));
    return node;
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  static constexpr size_t kCopiedMax = 2000;
  size_t copied_ = 0;
};

}  // namespace

Error expression_error(std::string_view text, size_t offset, std::string_view message,
                       std::string how_to_mend) {
  offset = std::min(offset, text.size());
  const size_t before = text.substr(0, offset).rfind('\n');
  const size_t begin = before == std::string_view::npos ? 0 : before + 1;
  std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  size_t caret = offset - begin;
  constexpr size_t kShown = 80;
  if (caret > kShown / 2) {
    line.remove_prefix(caret - kShown / 2);
    caret = kShown / 2;
  }
  return Error{
      ErrorCode::kBadInput,
      fmt::format("{}\n  {}\n  {}^", message, line.substr(0, kShown), std::string(caret, ' ')),
      fmt::format("column {}", offset + 1), std::move(how_to_mend)};
}

Result<AstPtr> parse_expression(std::string_view text) {
  if (text.size() > kExpressionBytesMax)
    return Error{ErrorCode::kBadInput,
                 fmt::format("an expression of {} bytes is above the limit of {}", text.size(),
                             kExpressionBytesMax),
                 "column 1", "split it into several derived features"};
  QW_ASSIGN(std::vector<Token> tokens, cut_into_tokens(text));
  return Parser(text, std::move(tokens)).run();
}

}  // namespace qw::features
