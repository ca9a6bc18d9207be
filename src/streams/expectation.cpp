#include "streams/expectation.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "base/time_text.h"
#include "streams/decoders/cell.h"
#include "streams/decoders/time.h"

namespace qw::streams {
namespace {

Error unfit(const Expectation& expectation, std::string problem) {
  return Error{ErrorCode::kBadInput, std::move(problem), "expect: " + expectation.column, ""};
}

std::string decimal_text(int64_t unscaled, int scale) {
  if (scale == 0) return std::to_string(unscaled);
  int64_t one = 1;
  for (int i = 0; i < scale; ++i) one *= 10;
  const int64_t absolute = unscaled < 0 ? -unscaled : unscaled;
  return fmt::format("{}{}.{:0{}}", unscaled < 0 ? "-" : "", absolute / one, absolute % one, scale);
}

void append_json_text(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

}  // namespace

Result<OnFail> parse_on_fail(std::string_view text) {
  if (text == "warn") return OnFail::kWarn;
  if (text == "quarantine") return OnFail::kQuarantine;
  if (text == "drop") return OnFail::kDrop;
  if (text == "null") return OnFail::kNull;
  return Error{ErrorCode::kBadInput, fmt::format("unknown on_fail '{}'", text), "",
               "known: warn, quarantine, drop, null"};
}

Result<CompiledExpectation> CompiledExpectation::make(const Expectation& expectation,
                                                      const schema::Schema& schema) {
  const auto column = schema.index_of(expectation.column);
  if (!column)
    return unfit(expectation, fmt::format("the source has no column '{}'", expectation.column));
  const schema::Field& field = schema.field(*column);
  CompiledExpectation compiled;
  compiled.column_ = *column;
  compiled.name_ = field.name;
  compiled.on_fail_ = expectation.on_fail;
  compiled.rule_ = expectation.rule;
  if (expectation.on_fail == OnFail::kNull && !field.nullable)
    return unfit(expectation, "on_fail: null on a column that may not be null");
  if (const auto* between = std::get_if<Between>(&expectation.rule)) {
    if (!field.type.is_numeric()) return unfit(expectation, "between needs a numeric column");
    if (between->low && between->high && *between->low > *between->high)
      return unfit(expectation, "between: the low end is above the high end");
  }
  if (const auto* matches = std::get_if<Matches>(&expectation.rule)) {
    if (field.type.kind != schema::Kind::kString)
      return unfit(expectation, "matches needs a string column");
    auto pattern = std::make_shared<re2::RE2>(matches->pattern, re2::RE2::Quiet);
    if (!pattern->ok()) return unfit(expectation, "matches: " + pattern->error());
    compiled.pattern_ = std::move(pattern);
  }
  if (const auto* set = std::get_if<InSet>(&expectation.rule)) {
    QW_ASSIGN(const TimeParser times, TimeParser::make(TimeForm::kIso8601, "UTC"));
    for (const std::string& text : set->values) {
      auto value = parse_cell(text, field.type, times);
      if (!value.ok()) return unfit(expectation, "in_set: " + value.error().message);
      if (const auto* integer = std::get_if<int64_t>(&*value)) compiled.integers_.insert(*integer);
      if (const auto* number = std::get_if<double>(&*value)) compiled.doubles_.push_back(*number);
      if (auto* string = std::get_if<std::string>(&*value)) compiled.texts_.insert(*string);
    }
  }
  return compiled;
}

bool CompiledExpectation::holds(const schema::Column& column, size_t row) const {
  if (!column.valid(row)) return !std::holds_alternative<NotNull>(rule_);
  if (const auto* between = std::get_if<Between>(&rule_)) {
    const double value = column.number_at(row);
    return (!between->low || value >= *between->low) && (!between->high || value <= *between->high);
  }
  if (std::holds_alternative<Matches>(rule_)) {
    const std::string_view text = column.string_at(row);
    return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *pattern_);
  }
  if (std::holds_alternative<InSet>(rule_)) {
    if (column.type().kind == schema::Kind::kString)
      return texts_.contains(std::string(column.string_at(row)));
    if (column.type().kind == schema::Kind::kDouble)
      return std::find(doubles_.begin(), doubles_.end(), column.double_at(row)) != doubles_.end();
    return integers_.contains(column.int_at(row));
  }
  return true;
}

std::string CompiledExpectation::complaint(const schema::Column& column, size_t row) const {
  const std::string value = cell_text(column, row).substr(0, 64);
  if (const auto* between = std::get_if<Between>(&rule_))
    return fmt::format("{} = {} is not between {} and {}", name_, value,
                       between->low ? fmt::format("{}", *between->low) : "-inf",
                       between->high ? fmt::format("{}", *between->high) : "inf");
  if (std::holds_alternative<NotNull>(rule_)) return fmt::format("{} is null", name_);
  if (const auto* matches = std::get_if<Matches>(&rule_))
    return fmt::format("{} = '{}' does not match '{}'", name_, value, matches->pattern);
  return fmt::format("{} = '{}' is not in the allowed set", name_, value);
}

std::string cell_text(const schema::Column& column, size_t row) {
  if (!column.valid(row)) return "null";
  switch (column.type().kind) {
    case schema::Kind::kBool: return column.int_at(row) != 0 ? "true" : "false";
    case schema::Kind::kInt64: return std::to_string(column.int_at(row));
    case schema::Kind::kDouble: return fmt::format("{}", column.double_at(row));
    case schema::Kind::kString: return std::string(column.string_at(row));
    case schema::Kind::kTimestamp: return format_time(column.int_at(row));
    case schema::Kind::kDecimal: return decimal_text(column.int_at(row), column.type().scale);
  }
  return "";
}

std::string row_json(const schema::Batch& batch, size_t row) {
  std::string out = "{";
  for (size_t i = 0; i < batch.columns().size(); ++i) {
    if (i > 0) out.push_back(',');
    append_json_text(batch.schema().field(i).name, out);
    out.push_back(':');
    const schema::Column& column = batch.column(i);
    const auto kind = column.type().kind;
    const bool quoted = kind == schema::Kind::kString || kind == schema::Kind::kTimestamp;
    if (quoted && column.valid(row))
      append_json_text(cell_text(column, row), out);
    else
      out += cell_text(column, row);
  }
  out.push_back('}');
  return out;
}

}  // namespace qw::streams
