// What features mean, one read at a time, without any cleverness. What each aggregate makes of the
// events is in its own file (kernels/), beside the executors' way and apart from it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "features/kernels/kernel.h"
#include "features/parity/executors.h"

namespace qw::features {
namespace {

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
  if (read.known) {
    const auto known =
        std::ranges::find(*read.known, e.partition, &std::pair<PartitionId, Seq>::first);
    if (known == read.known->end() || e.seq > known->second) return false;
  }
  if (e.event_time.value() > t) return false;
  if (read.about_event() && e.event_time.value() == t) {
    const auto place = std::pair(e.partition, e.seq);
    const auto here = std::pair(read.partition, read.point.seq);
    if (place > here || (exclude_current && place == here)) return false;
  }
  if (w.step_us == 0) return e.event_time.value() > t - w.length_us;
  return e.event_time.value() >= floor_down(t - w.length_us, w.step_us);
}

// `all` in order of (event_time, partition, seq), before nulls are left out.
OracleValue answer(const Feature& feature, const View& view, const Read& read,
                   const std::vector<Seen>& all, double& bound) {
  const Aggregate& aggregate = view.aggregates()[feature.aggregate];
  std::vector<Seen> seen;
  for (const Seen& s : all)
    if (!aggregate.argument || s.x.kind != OracleValue::Kind::kNull) seen.push_back(s);
  if (seen.empty() && !aggregate.kernel->counts_nothing()) return {};
  return aggregate.kernel->oracle({aggregate, seen, read.point.event_time.value(),
                                   view.windows()[feature.window].length_us, feature.nth},
                                  bound);
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
      seen.push_back({facts.event_time.value(), facts.partition.value(), facts.seq.value(), *x});
    }
    std::ranges::sort(seen, {},
                      [](const Seen& s) { return std::tuple(s.time, s.partition, s.seq); });
    const OracleValue value =
        answer(feature, view, read, seen, answers.bounds[row * view.features().size() + f]);
    answers.features.column(f).append_value(oracle_result(value, feature.type));
  }
  return {};
}

}  // namespace

bool oracle_same(const OracleValue& a, const OracleValue& b) {
  return a.i == b.i && a.d == b.d && a.text == b.text;
}

std::vector<OracleValue> oracle_sorted(const std::vector<Seen>& seen) {
  std::vector<OracleValue> values;
  for (const Seen& s : seen) values.push_back(s.x);
  std::ranges::sort(values, [](const OracleValue& a, const OracleValue& b) {
    return std::tie(a.i, a.d, a.text) < std::tie(b.i, b.d, b.text);
  });
  return values;
}

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
