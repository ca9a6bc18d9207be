#include <fmt/format.h>

#include <limits>

#include "features/cell_text.h"
#include "features/dialects/duckdb/sql.h"
#include "features/expression/functions.h"

namespace qw::features::duckdb {
namespace {

using schema::Kind;

std::string write(const Typed& node);

std::string literal(const Typed& node) {
  const schema::Type type = *node.type;
  if (schema::is_null(node.literal)) return "null::" + type_name(type);
  const Cell cell = cell_of(node.literal);
  switch (type.kind) {
    case Kind::kString: {
      std::string text = "'";
      for (const char c : cell.text) text += c == '\'' ? "''" : std::string(1, c);
      return text + "'";
    }
    case Kind::kDouble: {  // the exponent makes it a double from the start, not a decimal
      std::string text = fmt::format("{}", cell.d);
      if (text.find('e') == std::string::npos) text += "e0";
      return cell.d < 0 ? "(" + text + ")" : text;
    }
    case Kind::kDecimal: return fmt::format("({})::{}", text_of(cell, type), type_name(type));
    case Kind::kBool: return text_of(cell, type);
    default: break;
  }
  if (cell.i > std::numeric_limits<int32_t>::max() || cell.i < std::numeric_limits<int32_t>::min())
    return fmt::format("({})::bigint", cell.i);
  return cell.i < 0 ? fmt::format("({})", cell.i) : fmt::format("{}", cell.i);
}

std::string write_case(const Typed& node) {
  std::string text = "case";
  size_t at = 0;
  for (; at + 1 < node.args.size(); at += 2)
    text += fmt::format(" when {} then {}", write(*node.args[at]), write(*node.args[at + 1]));
  if (at < node.args.size()) text += " else " + write(*node.args[at]);
  return text + " end";
}

// Fills the template of the function table.
std::string write_call(const Typed& node) {
  const std::string_view form = node.meaning.duckdb;
  if (form == "$case") return write_case(node);
  std::string text;
  for (size_t at = 0; at < form.size(); ++at) {
    if (form[at] != '$') {
      text.push_back(form[at]);
      continue;
    }
    const char what = form[++at];
    if (what == 'T') {
      text += type_name(*node.type);
    } else if (what == 'S') {
      text += fmt::format("{}", node.type->scale);
    } else if (what == 'P') {
      text += node.meaning.sql_parameter;
    } else if (what == '*') {
      for (size_t i = 0; i < node.args.size(); ++i)
        text += (i == 0 ? "" : ", ") + write(*node.args[i]);
    } else {
      text += write(*node.args[static_cast<size_t>(what - '1')]);
    }
  }
  return form.find("case") == 0 ? "(" + text + ")" : text;
}

std::string write(const Typed& node) {
  if (node.kind == Typed::Kind::kLiteral) return literal(node);
  if (node.kind == Typed::Kind::kCall) return write_call(node);
  const std::string name = quoted(node.column_name);
  return node.type->kind == Kind::kDouble ? "qw_clean(" + name + ")" : name;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text)
    if (!line.empty() || c != ' ') line.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
  return line;
}

Result<std::unique_ptr<Engine>> open_engine(const Limits& limits) {
  QW_ASSIGN(auto engine, Engine::open(limits));
  QW_TRY(engine->run(prelude()));
  return engine;
}

std::string prelude() {
  return R"(-- The rules that DuckDB's own operators do not share.
create or replace temp macro qw_finite(x) as case when isfinite(x) then x end;
create or replace temp macro qw_clean(x) as case when isfinite(x) then x + 0e0 end;
create or replace temp macro qw_add(a, b) as try_cast(a::hugeint + b::hugeint as bigint);
create or replace temp macro qw_sub(a, b) as try_cast(a::hugeint - b::hugeint as bigint);
create or replace temp macro qw_mul(a, b) as try_cast(a::hugeint * b::hugeint as bigint);
create or replace temp macro qw_lower(s) as
  translate(s, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');
create or replace temp macro qw_upper(s) as
  translate(s, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ');
create or replace temp macro qw_substring(s, first, count) as
  case when first >= 1 and count >= 0
       then substring(s, least(first, 1000000000), least(count, 1000000000)) end;
create or replace temp macro qw_floor(t, step) as t - ((t % step) + step) % step;
create or replace temp macro qw_hour(t) as (t - qw_floor(t, 86400000000)) // 3600000000;
create or replace temp macro qw_day_of_week(t) as
  1 + (((qw_floor(t, 86400000000) // 86400000000 + 3) % 7) + 7) % 7;
create or replace temp macro qw_eps() as 2.220446049250313e-16;
-- Finite where the true value is a double: what leaves the range on the way is computed again on
-- values scaled by a power of two.
create or replace temp macro qw_sum(x) as
  coalesce(qw_finite(fsum(x)), qw_finite(fsum(x * 5.421010862427522e-20) / 5.421010862427522e-20));
create or replace temp macro qw_mean(x) as
  coalesce(qw_finite(favg(x)), qw_finite(favg(x * 5.421010862427522e-20) / 5.421010862427522e-20));
create or replace temp macro qw_quantile(x, q) as
  coalesce(qw_finite(quantile_cont(x, q)), qw_finite(quantile_cont(x * 0.5e0, q) * 2));
create or replace temp macro qw_up(x) as x * 4.149515568880993e+180;
create or replace temp macro qw_down(x) as x * 2.409919865102884e-181;
create or replace temp macro qw_tiny(x) as case when abs(x) < 1e-150 then qw_up(x) end;
create or replace temp macro qw_usual(x) as case when abs(x) <= 1e150 then x end;
create or replace temp macro qw_variance(x) as
  case when max(abs(x)) > 1e150 then qw_finite(qw_up(qw_up(var_samp(qw_down(x)))))
       when max(abs(x)) < 1e-150 then qw_down(qw_down(var_samp(qw_tiny(x))))
       else var_samp(qw_usual(x)) end;
create or replace temp macro qw_stddev(x) as
  case when max(abs(x)) > 1e150 then qw_finite(qw_up(stddev_samp(qw_down(x))))
       when max(abs(x)) < 1e-150 then qw_down(stddev_samp(qw_tiny(x)))
       else stddev_samp(qw_usual(x)) end;
-- How far two executors may differ.
create or replace temp macro qw_variance_error(x) as
  (4 * count(x) * qw_eps() * sqrt(sum(x * x)) * sqrt(greatest(var_pop(x), 0) * count(x)) +
   pow(4 * count(x) * qw_eps(), 2) * sum(x * x)) / nullif(count(x) - 1, 0);
-- |sqrt(v + e) - sqrt(v)| <= e / sqrt(v), and <= sqrt(e).
create or replace temp macro qw_stddev_error(x) as
  least(sqrt(qw_variance_error(x)), qw_variance_error(x) / nullif(stddev_samp(x), 0)) +
  4 * qw_eps() * stddev_samp(x);
create or replace temp macro qw_variance_bound(x) as
  case when max(abs(x)) > 1e150 then qw_up(qw_up(qw_variance_error(qw_down(x))))
       when max(abs(x)) < 1e-150 then qw_down(qw_down(qw_variance_error(qw_tiny(x))))
       else qw_variance_error(qw_usual(x)) end;
create or replace temp macro qw_stddev_bound(x) as
  case when max(abs(x)) > 1e150 then qw_up(qw_stddev_error(qw_down(x)))
       when max(abs(x)) < 1e-150 then qw_down(qw_stddev_error(qw_tiny(x)))
       else qw_stddev_error(qw_usual(x)) end;
)";
}

std::string expression(const Expression& expression) { return write(expression.tree()); }

std::string derived_query(const std::vector<Derived>& derived, std::string_view table) {
  std::string text = "select row_id";
  for (const Derived& feature : derived) {
    // Later derived features may read earlier ones by name: DuckDB lets an alias be used again.
    text += fmt::format(",\n  -- {}: {}\n  ({})::{} as {}", feature.name, feature.expression.text(),
                        expression(feature.expression), type_name(feature.expression.type()),
                        quoted(feature.name));
  }
  return text + fmt::format("\nfrom {}\norder by row_id\n", quoted(table));
}

}  // namespace qw::features::duckdb
