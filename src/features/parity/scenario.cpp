#include "features/parity/scenario.h"

#include <algorithm>

namespace qw::features {
namespace {

std::shared_ptr<const schema::Schema> derived_schema(const Scenario& scenario) {
  std::vector<schema::Field> fields;
  for (const Derived& derived : scenario.derived)
    fields.push_back({derived.name, derived.expression.type(), true});
  return std::make_shared<const schema::Schema>(std::move(fields));
}

}  // namespace

void Arrivals::take(const schema::EventFacts& facts) {
  const auto at =
      std::ranges::lower_bound(known_, facts.partition, {}, &std::pair<PartitionId, Seq>::first);
  if (at != known_.end() && at->first == facts.partition)
    at->second = std::max(at->second, facts.seq);
  else
    known_.insert(at, {facts.partition, facts.seq});
}

Answers::Answers(const Scenario& scenario)
    : features(scenario.view->output()), derived(derived_schema(scenario)) {
  for (const ViewPtr& view : scenario.also) also.emplace_back(view->output());
}

Result<Scenario> make_scenario(const ViewDefinition& view,
                               const std::vector<DeriveDefinition>& derived,
                               std::shared_ptr<const schema::Schema> source,
                               int64_t allowed_lateness_us,
                               const std::vector<ViewDefinition>& also) {
  QW_ASSIGN(ViewPtr compiled, View::compile(view, source, allowed_lateness_us));
  std::vector<ViewPtr> views{compiled};
  for (const ViewDefinition& further : also) {
    QW_ASSIGN(ViewPtr made, View::compile(further, source, allowed_lateness_us));
    views.push_back(std::move(made));
  }
  auto inputs = expression_inputs(*source, views);
  const auto own = inputs;
  QW_ASSIGN(std::vector<Derived> checked, compile_derived(derived, inputs));
  return Scenario{view.name,
                  std::move(compiled),
                  std::move(checked),
                  own,
                  schema::EventBatch{schema::Batch(std::move(source)), {}},
                  {},
                  {},
                  {views.begin() + 1, views.end()}};
}

schema::Batch inputs_of(const Scenario& scenario, const Answers& stream) {
  schema::Batch inputs(scenario.inputs);
  const size_t own = scenario.events.rows.columns().size();
  for (size_t row = 0; row < scenario.reads.size(); ++row) {
    const std::optional<size_t> event = scenario.reads[row].event;
    for (size_t i = 0; i < own; ++i) {
      if (event)
        inputs.column(i).append_from(scenario.events.rows.column(i), *event);
      else
        inputs.column(i).append_null();
    }
    size_t next = own;
    const auto append = [&](const schema::Batch& features) {
      for (const schema::Column& column : features.columns())
        inputs.column(next++).append_from(column, row);
    };
    append(stream.features);
    for (const schema::Batch& features : stream.also) append(features);
  }
  return inputs;
}

}  // namespace qw::features
