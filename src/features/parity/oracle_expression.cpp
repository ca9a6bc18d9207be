#include "features/parity/oracle_expression.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace qw::features {
namespace {

using K = OracleValue::Kind;
using Maybe = std::optional<OracleValue>;

constexpr __int128 kDecimalLimit = 1'000'000'000'000'000'000;

OracleValue of_bool(bool value) { return {K::kBool, value}; }
OracleValue of_double(double value) {
  if (!std::isfinite(value)) return {};
  return {K::kDouble, 0, 0, value == 0 ? 0.0 : value};
}
OracleValue of_int(__int128 value) {
  if (value > std::numeric_limits<int64_t>::max() || value < std::numeric_limits<int64_t>::min())
    return {};
  return {K::kInt, value};
}
OracleValue of_decimal(__int128 value, int scale) {
  if (value >= kDecimalLimit || value <= -kDecimalLimit) return {};
  return {K::kDecimal, value, scale};
}
__int128 ten_to(int power) {
  __int128 value = 1;
  for (int i = 0; i < power; ++i) value *= 10;
  return value;
}
double number(const OracleValue& v) {
  if (v.kind == K::kDouble) return v.d;
  return static_cast<double>(static_cast<long double>(v.i) /
                             static_cast<long double>(ten_to(v.scale)));
}
bool is_true(const OracleValue& v) { return v.kind == K::kBool && v.i != 0; }
bool is_false(const OracleValue& v) { return v.kind == K::kBool && v.i == 0; }

// A literal such as 0.50 beside a decimal is the decimal 0.50.
OracleValue literal_as_decimal(const OracleValue& v) {
  OracleValue out{K::kDecimal};
  bool point = false;
  for (const char c : v.text) {
    if (c == '.') point = true;
    if (c < '0' || c > '9') continue;
    out.i = out.i * 10 + (c - '0');
    out.scale += point ? 1 : 0;
  }
  if (v.text.starts_with('-')) out.i = -out.i;
  return out;
}

OracleValue read_number(const std::string& text) {
  if (text.find_first_of(".eE") == std::string::npos) {
    OracleValue value = literal_as_decimal({K::kInt, 0, 0, 0, text});
    return of_int(value.i);
  }
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  // Beyond the range of doubles: infinite, or as good as zero.
  if (read.ec == std::errc::result_out_of_range && text.find("e-") == std::string::npos &&
      text.find("E-") == std::string::npos)
    number = std::numeric_limits<double>::infinity();
  OracleValue value = of_double(number);
  value.text = text;
  value.literal = text.find_first_of("eE") == std::string::npos;
  return value;
}

// Brings two numbers to one kind: decimals to one scale, anything beside a double to a double.
void align(OracleValue& a, OracleValue& b, bool same_scale) {
  if (a.kind == K::kDecimal && b.literal) b = literal_as_decimal(b);
  if (b.kind == K::kDecimal && a.literal) a = literal_as_decimal(a);
  if (a.kind == K::kDouble || b.kind == K::kDouble) {
    a = of_double(number(a));
    b = of_double(number(b));
  } else if (a.kind == K::kDecimal || b.kind == K::kDecimal) {
    const int scale = std::max(a.scale, b.scale);
    for (OracleValue* v : {&a, &b}) {
      if (same_scale) v->i *= ten_to(scale - v->scale);
      if (same_scale) v->scale = scale;
      v->kind = K::kDecimal;
    }
  }
}

Maybe arithmetic(char op, OracleValue a, OracleValue b) {
  if (a.kind == K::kNull || b.kind == K::kNull) return OracleValue{};
  if (op == '/') return of_double(number(a) / number(b));
  align(a, b, op != '*');
  if (a.kind == K::kDouble)
    return of_double(op == '+' ? a.d + b.d : op == '-' ? a.d - b.d : a.d * b.d);
  const __int128 result = op == '+' ? a.i + b.i : op == '-' ? a.i - b.i : a.i * b.i;
  if (a.kind == K::kDecimal) return of_decimal(result, op == '*' ? a.scale + b.scale : a.scale);
  return of_int(result);
}

Maybe order(OracleValue a, OracleValue b) {  // -1, 0, 1
  if (a.kind == K::kNull || b.kind == K::kNull) return OracleValue{};
  if (a.kind == K::kText) return OracleValue{K::kInt, (a.text > b.text) - (a.text < b.text)};
  align(a, b, true);
  if (a.kind == K::kDouble) return OracleValue{K::kInt, (a.d > b.d) - (a.d < b.d)};
  return OracleValue{K::kInt, (a.i > b.i) - (a.i < b.i)};
}

Maybe compare(const std::string& op, const OracleValue& a, const OracleValue& b) {
  const OracleValue o = *order(a, b);
  if (o.kind == K::kNull) return o;
  if (op == "=") return of_bool(o.i == 0);
  if (op == "<>") return of_bool(o.i != 0);
  if (op == "<") return of_bool(o.i < 0);
  if (op == "<=") return of_bool(o.i <= 0);
  return of_bool(op == ">" ? o.i > 0 : o.i >= 0);
}

Maybe choose(const Ast& ast, const std::vector<OracleValue>& args) {
  const std::string& name = ast.text;
  if (name == "case") {
    size_t at = 0;
    for (; at + 1 < args.size(); at += 2)
      if (is_true(args[at])) return args[at + 1];
    return at < args.size() ? args[at] : OracleValue{};
  }
  if (name == "coalesce") {
    for (const OracleValue& arg : args)
      if (arg.kind != K::kNull) return arg;
    return OracleValue{};
  }
  if (name == "nullif") {
    const OracleValue o = *order(args[0], args[1]);
    return o.kind != K::kNull && o.i == 0 ? OracleValue{} : args[0];
  }
  OracleValue best;  // least, greatest
  for (const OracleValue& arg : args) {
    if (arg.kind == K::kNull) continue;
    const bool better = best.kind == K::kNull || order(arg, best)->i == (name == "least" ? -1 : 1);
    if (better) best = arg;
  }
  return best;
}

Maybe of_one(const std::string& name, const OracleValue& x) {
  if (x.kind == K::kNull) return x;
  if (name == "negate") return arithmetic('-', OracleValue{K::kInt, 0}, x);
  if (name == "abs") return number(x) < 0 ? arithmetic('-', OracleValue{K::kInt, 0}, x) : x;
  if (name == "not") return of_bool(x.i == 0);
  if (x.kind != K::kDouble && x.kind != K::kInt) return std::nullopt;
  const double d = number(x);
  if (name == "sqrt") return d < 0 ? OracleValue{} : of_double(std::sqrt(d));
  if (name == "ln") return d <= 0 ? OracleValue{} : of_double(std::log(d));
  if (name == "exp") return of_double(std::exp(d));
  if (x.kind == K::kInt && (name == "floor" || name == "ceil" || name == "round")) return x;
  if (name == "floor") return of_double(std::floor(d));
  if (name == "ceil") return of_double(-std::floor(-d));
  if (name != "round") return std::nullopt;
  const long double size = std::floor(std::fabs(static_cast<long double>(d)) + 0.5L);
  return of_double(static_cast<double>(d < 0 ? -size : size));
}

Maybe apply_function(const Ast& ast, const std::vector<OracleValue>& args) {
  const std::string& name = ast.text;
  if (name == "is null") return of_bool(args[0].kind == K::kNull);
  if (name == "is not null") return of_bool(args[0].kind != K::kNull);
  if (name == "and") {
    if (is_false(args[0]) || is_false(args[1])) return of_bool(false);
    return is_true(args[0]) && is_true(args[1]) ? of_bool(true) : OracleValue{};
  }
  if (name == "or") {
    if (is_true(args[0]) || is_true(args[1])) return of_bool(true);
    return is_false(args[0]) && is_false(args[1]) ? of_bool(false) : OracleValue{};
  }
  if (name == "case" || name == "coalesce" || name == "nullif" || name == "least" ||
      name == "greatest")
    return choose(ast, args);
  if (args.size() == 1 && name != "cast") return of_one(name, args[0]);
  if (args.size() != 2) return std::nullopt;
  const OracleValue& a = args[0];
  const OracleValue& b = args[1];
  if (name == "+" || name == "-" || name == "*" || name == "/") return arithmetic(name[0], a, b);
  if (name == "%" || name == "div") {
    if (a.kind == K::kNull || b.kind == K::kNull || b.i == 0) return OracleValue{};
    return of_int(name == "%" ? a.i % b.i : a.i / b.i);
  }
  if (name == "=" || name == "<>" || name[0] == '<' || name[0] == '>') return compare(name, a, b);
  return std::nullopt;
}

}  // namespace

OracleValue oracle_cell(const schema::Column& column, size_t row) {
  if (!column.valid(row)) return {};
  switch (column.type().kind) {
    case schema::Kind::kString: return {K::kText, 0, 0, 0, std::string(column.string_at(row))};
    case schema::Kind::kDouble: return of_double(column.double_at(row));
    case schema::Kind::kBool: return of_bool(column.int_at(row) != 0);
    case schema::Kind::kDecimal: return {K::kDecimal, column.int_at(row), column.type().scale};
    default: return {K::kInt, column.int_at(row)};
  }
}

Maybe oracle_evaluate(const Ast& ast, const schema::Batch& rows, size_t row) {
  switch (ast.kind) {
    case Ast::Kind::kNull: return OracleValue{};
    case Ast::Kind::kBool: return of_bool(ast.text == "true");
    case Ast::Kind::kString: return OracleValue{K::kText, 0, 0, 0, ast.text};
    case Ast::Kind::kNumber: return read_number(ast.text);
    case Ast::Kind::kName: {
      const auto index = rows.schema().index_of(ast.text);
      if (!index) return std::nullopt;
      return oracle_cell(rows.column(*index), row);
    }
    case Ast::Kind::kCall: break;
  }
  std::vector<OracleValue> args;
  for (const AstPtr& arg : ast.args) {
    const Maybe value = oracle_evaluate(*arg, rows, row);
    if (!value) return std::nullopt;
    args.push_back(*value);
  }
  return apply_function(ast, args);
}

schema::Value oracle_result(const OracleValue& value, const schema::Type& type) {
  if (value.kind == K::kNull) return {};
  if (type.kind == schema::Kind::kString) return value.text;
  if (type.kind == schema::Kind::kDouble) return number(value);
  const OracleValue exact =
      type.kind == schema::Kind::kDecimal && value.literal ? literal_as_decimal(value) : value;
  if (type.kind != schema::Kind::kDecimal) return static_cast<int64_t>(exact.i);
  return static_cast<int64_t>(exact.i * ten_to(type.scale - exact.scale));
}

}  // namespace qw::features
