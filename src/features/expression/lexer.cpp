#include "features/expression/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "features/expression/ast.h"

namespace qw::features {
namespace {

constexpr std::string_view kKeywords[] = {"and", "as",    "between", "case", "cast", "else",
                                          "end", "false", "in",      "is",   "not",  "null",
                                          "or",  "then",  "true",    "when"};
constexpr std::string_view kSymbols[] = {"<>", "<=", ">=", "!=", "||", "+", "-", "*",
                                         "/",  "%",  "(",  ")",  ",",  "=", "<", ">"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> run() {
    while (true) {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
      if (at_ == text_.size()) break;
      QW_TRY(next());
    }
    tokens_.push_back({Token::Kind::kEnd, "", text_.size()});
    return std::move(tokens_);
  }

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  Result<void> next() {
    if (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) return number();
    if (peek() == '\'') return quoted('\'', Token::Kind::kString);
    if (peek() == '"') return quoted('"', Token::Kind::kName);
    if (starts_name(peek())) return name();
    for (const std::string_view symbol : kSymbols) {
      if (!text_.substr(at_).starts_with(symbol)) continue;
      tokens_.push_back({Token::Kind::kSymbol, std::string(symbol == "!=" ? "<>" : symbol), at_});
      at_ += symbol.size();
      return {};
    }
    return expression_error(text_, at_, fmt::format("unexpected character '{}'", peek()),
                            "strings stand in single quotes, columns may stand in double quotes");
  }
  Result<void> number() {
    const size_t begin = at_;
    while (is_digit(peek())) ++at_;
    if (peek() == '.') {
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if (peek() == 'e' || peek() == 'E') {
      const size_t sign = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
      if (is_digit(peek(sign))) {
        at_ += sign;
        while (is_digit(peek())) ++at_;
      }
    }
    if (starts_name(peek()))
      return expression_error(text_, begin, "a number runs into a name",
                              "put an operator or a space between them");
    tokens_.push_back({Token::Kind::kNumber, std::string(text_.substr(begin, at_ - begin)), begin});
    return {};
  }
  Result<void> quoted(char quote, Token::Kind kind) {
    const size_t begin = at_++;
    std::string value;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] != quote) {
        value.push_back(text_[at_]);
      } else if (peek(1) == quote) {
        value.push_back(quote);
        ++at_;
      } else {
        ++at_;
        tokens_.push_back({kind, std::move(value), begin});
        return {};
      }
    }
    return expression_error(text_, begin, "a quoted text has no end",
                            fmt::format("close it with {}", quote));
  }
  // Words joined by dots are one name: card.n_1m.
  Result<void> name() {
    const size_t begin = at_;
    while (starts_name(peek()) || is_digit(peek()) || (peek() == '.' && starts_name(peek(1))))
      ++at_;
    std::string word(text_.substr(begin, at_ - begin));
    std::string lower = word;
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool keyword = std::ranges::find(kKeywords, lower) != std::end(kKeywords);
    tokens_.push_back({keyword ? Token::Kind::kKeyword : Token::Kind::kName,
                       keyword ? std::move(lower) : std::move(word), begin});
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> cut_into_tokens(std::string_view text) { return Lexer(text).run(); }

}  // namespace qw::features
