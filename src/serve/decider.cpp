#include "serve/decider.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "store/schemas.h"

namespace qw::serve {

using features::Cell;

Decider::Decider(const DecisionPlan& plan, ModelSlot& slot) : plan_(plan), slot_(slot) {
  if (plan.when) {
    when_.emplace(*plan.when);
    when_on_columns_ = std::ranges::all_of(
        plan.when->columns(), [&](size_t column) { return column < plan.features_begin; });
  }
  for (const NamedProgram& rule : plan.rules) rules_.emplace_back(rule.expression);
  for (const NamedProgram& output : plan.outputs) outputs_.emplace_back(output.expression);
}

bool Decider::name_records(store::Txn& txn) {
  if (named_ == slot_.served_by()) return false;
  named_ = slot_.served_by();
  const LearningVersion* const learning = slot_.champion() ? slot_.champion()->learning() : nullptr;
  schema_ = decision_schema(plan_, learning ? &learning->engine() : nullptr);
  schema_id_ = store::stage_schema(schema_, txn);
  return true;
}

schema::Value Decider::value_at(const DecisionInput& input, size_t at) const {
  return features::value_of(input.cells[at], plan_.inputs->field(at).type.kind);
}

bool Decider::may_decide(std::span<const Cell> columns) {
  return !when_on_columns_ || when_->holds(columns);
}

Result<bool> Decider::decide(const DecisionInput& input, KnownAt now, Decided& decided) {
  schema::DecisionRecord& record = decided.record;
  record = schema::DecisionRecord();
  record.decided_at = now;
  if (!begin(input, record)) return false;
  QW_ASSIGN(const bool scored, score(input, decided));
  if (!scored) return false;
  for (size_t index = 0; index < outputs_.size(); ++index) {
    const size_t at = plan_.outputs_begin + index;
    input.cells[at] = outputs_[index].evaluate(input.cells.first(at));
    record.outputs.push_back(value_at(input, at));
  }
  return true;
}

// What is known before anything is scored.
bool Decider::begin(const DecisionInput& input, schema::DecisionRecord& record) {
  if (when_ && !when_->holds(input.cells.first(plan_.model_begin))) return false;
  if (!key_text(input.rows, input.row, plan_.key_columns, record.key)) return false;
  record.decision = plan_.name;
  record.partition = input.partition;
  record.event_seq = input.seq;
  record.as_of = input.as_of;
  record.schema_id = schema_id_;
  record.features.reserve(plan_.model_begin - plan_.features_begin);
  for (size_t at = plan_.features_begin; at < plan_.model_begin; ++at)
    record.features.push_back(value_at(input, at));
  for (const size_t at : plan_.model_inputs) record.inputs.push_back(value_at(input, at));
  record.statuses.assign(input.statuses.begin(), input.statuses.end());
  record.known.assign(input.known.begin(), input.known.end());
  return true;
}

Result<bool> Decider::score(const DecisionInput& input, Decided& decided) {
  decided.threshold = decided.value = std::numeric_limits<double>::quiet_NaN();
  decided.warm_up = 1;
  schema::DecisionRecord& record = decided.record;
  record.model = slot_.options().model;
  if (slot_.champion() != nullptr) {
    QW_ASSIGN(const auto answer, slot_.score(input.stream, record));
    if (!answer) return false;
    take(*answer, decided);
  } else if (plan_.rules.empty()) {  // no version serves yet
    record.score = std::numeric_limits<double>::quiet_NaN();
    record.warm = false;
    decided.warm_up = 0;
  } else {
    evaluate_rules(input, record);
    return true;
  }
  decided.value = observation_of(record).value;
  input.cells[plan_.model_begin] = Cell::of_double(record.score);
  input.cells[plan_.model_begin + 1] = Cell::of_double(decided.threshold);
  input.cells[plan_.model_begin + 2] = Cell::of_int(record.warm ? 1 : 0);
  return true;
}

void Decider::take(const models::Score& answer, Decided& decided) {
  schema::DecisionRecord& record = decided.record;
  record.version = slot_.champion()->version();
  record.score = answer.score;
  record.warm = answer.warm;
  decided.warm_up = answer.warm_up;
  const LearningVersion* const learning = slot_.champion()->learning();
  if (learning == nullptr) return;
  const auto members = static_cast<std::ptrdiff_t>(learning->engine().members().size());
  record.contributions.assign(answer.contributions.begin(), answer.contributions.begin() + members);
  decided.threshold = learning->engine().threshold();
}

void Decider::evaluate_rules(const DecisionInput& input, schema::DecisionRecord& record) {
  const auto inputs = input.cells.first(plan_.model_begin);
  record.score = std::numeric_limits<double>::quiet_NaN();
  for (size_t index = 0; index < rules_.size(); ++index) {
    const Cell cell = rules_[index].evaluate(inputs);
    input.cells[plan_.model_begin + index] = cell;
    if (cell.null || (index > 0 && plan_.rules[index].name != "score")) continue;
    const schema::Type& type = plan_.rules[index].expression.type();
    if (type.kind == schema::Kind::kDouble) record.score = cell.d;
    if (type.kind == schema::Kind::kInt64) record.score = static_cast<double>(cell.i);
    if (type.kind == schema::Kind::kDecimal)
      record.score = static_cast<double>(cell.i) / std::pow(10.0, type.scale);
  }
}

}  // namespace qw::serve
