// About a hundred lines that say what features mean, one read at a time, without any cleverness.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "features/parity/executors.h"
#include "features/parity/oracle_expression.h"

namespace qw::features {
namespace {

struct Seen {
  int64_t time;
  uint64_t seq;
  OracleValue x;
};

int64_t floor_down(int64_t value, int64_t step) {
  int64_t steps = value / step;
  if (steps * step > value) --steps;
  return steps * step;
}

// Is the event inside the window of this read?
bool inside(const schema::EventFacts& e, const Read& read, const Window& w, bool exclude_current) {
  const int64_t t = read.point.event_time.value();
  if (e.status != schema::EventStatus::kOk && e.status != schema::EventStatus::kLateRepaired)
    return false;
  if (e.partition != read.partition || e.seq > read.point.known) return false;
  if (e.event_time.value() > t) return false;
  if (e.event_time.value() == t && e.seq > read.point.seq) return false;
  if (exclude_current && e.event_time.value() == t && e.seq == read.point.seq) return false;
  if (w.step_us == 0) return e.event_time.value() > t - w.length_us;
  return e.event_time.value() >= floor_down(t - w.length_us, w.step_us);
}

double as_double(const OracleValue& v) {
  return v.kind == OracleValue::Kind::kDouble
             ? v.d
             : static_cast<double>(static_cast<long double>(v.i) / std::pow(10.0L, v.scale));
}

// Numbers in order, as long doubles, which carry 11 more bits than the executors' doubles.
struct Numbers {
  std::vector<long double> x;
  long double sum = 0, size = 0, squares = 0, m2 = 0, most = 0;
  explicit Numbers(const std::vector<Seen>& seen) {
    for (const Seen& s : seen) x.push_back(as_double(s.x));
    std::ranges::sort(x, {}, [](long double v) { return std::fabs(v); });  // small ones first
    for (const long double v : x) {
      sum += v;
      size += std::fabs(v);
      squares += v * v;
      most = std::max(most, std::fabs(v));
    }
    const long double mean = x.empty() ? 0 : sum / static_cast<long double>(x.size());
    for (const long double v : x) m2 += (v - mean) * (v - mean);
    std::ranges::sort(x);
  }
};

constexpr long double kEps = std::numeric_limits<double>::epsilon();

OracleValue finite(long double value) {
  const auto rounded = static_cast<double>(value);
  if (!std::isfinite(rounded)) return {};
  return {OracleValue::Kind::kDouble, 0, 0, rounded == 0 ? 0.0 : rounded};
}

bool same(const OracleValue& a, const OracleValue& b) {
  return a.i == b.i && a.d == b.d && a.text == b.text;
}
bool before(const OracleValue& a, const OracleValue& b) {
  return std::tie(a.i, a.d, a.text) < std::tie(b.i, b.d, b.text);
}

OracleValue spread(const Aggregate& aggregate, const Numbers& n, double& bound) {
  if (n.x.size() < 2) return {};
  const auto count = static_cast<long double>(n.x.size());
  const long double variance = n.m2 / (count - 1);
  const long double k = 4 * count * kEps;
  const long double error = (k * std::sqrt(n.squares * n.m2) + k * k * n.squares) / (count - 1);
  bound = static_cast<double>(error);
  if (aggregate.kind == AggregateKind::kVariance) return finite(variance);
  const long double root = std::sqrt(variance);
  bound = static_cast<double>(std::sqrt(error));
  if (root > 0) bound = std::min(bound, static_cast<double>(error / root));
  bound += static_cast<double>(4 * kEps * root);
  return finite(root);
}

OracleValue numeric(const Aggregate& aggregate, const std::vector<Seen>& seen, double& bound) {
  const Numbers n(seen);
  const auto count = static_cast<long double>(seen.size());
  const bool doubles = seen.front().x.kind == OracleValue::Kind::kDouble;
  if (aggregate.kind == AggregateKind::kSum && !doubles) {
    __int128 sum = 0;
    for (const Seen& s : seen) sum += s.x.i;
    const bool decimal = seen.front().x.kind == OracleValue::Kind::kDecimal;
    const __int128 limit =
        decimal ? __int128{999'999'999'999'999'999} : __int128{std::numeric_limits<int64_t>::max()};
    if (sum > limit || sum < -limit - (decimal ? 0 : 1)) return {};
    return {seen.front().x.kind, sum, seen.front().x.scale};
  }
  if (aggregate.kind == AggregateKind::kVariance || aggregate.kind == AggregateKind::kStddev)
    return spread(aggregate, n, bound);
  if (aggregate.kind == AggregateKind::kQuantile) {
    const double h = static_cast<double>(count - 1) * aggregate.quantile;  // rounded, by definition
    const auto low = static_cast<size_t>(h);
    const long double a = n.x[low];
    const long double b = n.x[std::min(low + 1, n.x.size() - 1)];
    bound = static_cast<double>(8 * kEps * n.most);
    return finite(a + (b - a) * (h - static_cast<long double>(low)));
  }
  const long double over = aggregate.kind == AggregateKind::kMean ? count : 1;
  bound = static_cast<double>(8 * kEps * n.size / over);
  return finite(n.sum / over);
}

// `all` in order of (event_time, seq), before nulls are left out.
OracleValue answer(const Feature& feature, const View& view, const Read& read,
                   const std::vector<Seen>& all, double& bound) {
  const Aggregate& aggregate = view.aggregates()[feature.aggregate];
  std::vector<Seen> seen;
  for (const Seen& s : all)
    if (!aggregate.argument || s.x.kind != OracleValue::Kind::kNull) seen.push_back(s);
  if (aggregate.kind == AggregateKind::kCount)
    return {OracleValue::Kind::kInt, static_cast<__int128>(seen.size())};
  std::vector<OracleValue> values;
  for (const Seen& s : seen) values.push_back(s.x);
  std::ranges::sort(values, before);
  if (aggregate.kind == AggregateKind::kCountDistinct) {
    values.erase(std::unique(values.begin(), values.end(), same), values.end());
    return {OracleValue::Kind::kInt, static_cast<__int128>(values.size())};
  }
  if (seen.empty()) return {};
  switch (aggregate.kind) {
    case AggregateKind::kRate: {
      const long double seconds = view.windows()[feature.window].length_us / 1e6L;
      const long double rate = static_cast<long double>(seen.size()) / seconds;
      bound = static_cast<double>(8 * kEps * rate);
      return finite(rate);
    }
    case AggregateKind::kMin: return values.front();
    case AggregateKind::kMax: return values.back();
    case AggregateKind::kFirst:
    case AggregateKind::kLast: {
      const Seen& edge = aggregate.kind == AggregateKind::kFirst ? seen.front() : seen.back();
      const int64_t age_us = read.point.event_time.value() - edge.time;
      return aggregate.max_age_us > 0 && age_us >= aggregate.max_age_us ? OracleValue{} : edge.x;
    }
    case AggregateKind::kLastK: {
      const auto nth = static_cast<size_t>(feature.nth);
      return nth > seen.size() ? OracleValue{} : seen[seen.size() - nth].x;
    }
    default: return numeric(aggregate, seen, bound);
  }
}

bool same_key(const Scenario& scenario, size_t event, const Read& read) {
  const auto& columns = scenario.view->key_columns();
  for (size_t i = 0; i < columns.size(); ++i) {
    const schema::Value value = scenario.events.rows.column(columns[i]).value_at(event);
    if (schema::is_null(value) || value != read.key[i]) return false;
  }
  return true;
}

Error unknown_part(std::string_view text) {
  return Error{ErrorCode::kUnsupported, "the oracle does not know all of: " + std::string(text), "",
               ""};
}

Result<std::vector<AstPtr>> parse_all(const std::vector<const Expression*>& expressions) {
  std::vector<AstPtr> trees;
  for (const Expression* expression : expressions) {
    QW_ASSIGN(AstPtr tree, parse_expression(expression->text()));
    trees.push_back(std::move(tree));
  }
  return trees;
}

Result<void> answer_read(const Scenario& scenario, const std::vector<AstPtr>& trees, size_t row,
                         Answers& answers) {
  const View& view = *scenario.view;
  const Read& read = scenario.reads[row];
  for (size_t f = 0; f < view.features().size(); ++f) {
    const Feature& feature = view.features()[f];
    const Aggregate& aggregate = view.aggregates()[feature.aggregate];
    std::vector<Seen> seen;
    for (size_t e = 0; e < scenario.events.facts.size(); ++e) {
      const schema::EventFacts& facts = scenario.events.facts[e];
      if (!inside(facts, read, view.windows()[feature.window], view.definition().exclude_current) ||
          !same_key(scenario, e, read))
        continue;
      std::optional<OracleValue> x = OracleValue{};
      if (aggregate.argument)
        x = oracle_evaluate(*trees[aggregate.argument_slot], scenario.events.rows, e);
      if (!x) return unknown_part(aggregate.argument->text());
      // What has the type of the whole expression, whichever branch it came from.
      if (aggregate.argument) {
        schema::Column typed(aggregate.argument->type());
        typed.append_value(oracle_result(*x, typed.type()));
        x = oracle_cell(typed, 0);
      }
      seen.push_back({facts.event_time.value(), facts.seq.value(), *x});
    }
    std::ranges::sort(seen, {}, [](const Seen& s) { return std::pair(s.time, s.seq); });
    const OracleValue value =
        answer(feature, view, read, seen, answers.bounds[row * view.features().size() + f]);
    answers.features.column(f).append_value(oracle_result(value, feature.type));
  }
  return {};
}

}  // namespace

Result<Answers> answer_by_oracle(const Scenario& scenario, const schema::Batch& inputs,
                                 const std::vector<size_t>& sample) {
  Answers answers(scenario);
  std::vector<const Expression*> arguments;
  for (const Expression& argument : scenario.view->arguments()) arguments.push_back(&argument);
  QW_ASSIGN(const std::vector<AstPtr> trees, parse_all(arguments));
  std::vector<const Expression*> derived;
  for (const Derived& one : scenario.derived) derived.push_back(&one.expression);
  QW_ASSIGN(const std::vector<AstPtr> derived_trees, parse_all(derived));
  answers.bounds.assign(scenario.reads.size() * scenario.view->features().size(), 0);
  const std::set<size_t> wanted(sample.begin(), sample.end());
  for (size_t row = 0; row < scenario.reads.size(); ++row) {
    if (!wanted.contains(row)) {
      for (size_t f = 0; f < scenario.view->features().size(); ++f)
        answers.features.column(f).append_null();
      for (size_t i = 0; i < derived.size(); ++i) answers.derived.column(i).append_null();
      continue;
    }
    QW_TRY(answer_read(scenario, trees, row, answers));
    std::vector<schema::Field> fields = scenario.inputs->fields();
    std::vector<schema::Value> values;
    for (const schema::Column& column : inputs.columns()) values.push_back(column.value_at(row));
    for (size_t i = 0; i < derived.size(); ++i) {
      schema::Batch one(std::make_shared<const schema::Schema>(fields));
      one.append_row(values);
      const auto value = oracle_evaluate(*derived_trees[i], one, 0);
      if (!value) return unknown_part(derived[i]->text());
      fields.push_back({scenario.derived[i].name, derived[i]->type(), true});
      values.push_back(oracle_result(*value, derived[i]->type()));
      answers.derived.column(i).append_value(values.back());
    }
  }
  return answers;
}

}  // namespace qw::features
