#include "features/parity/scenario.h"

namespace qw::features {
namespace {

std::shared_ptr<const schema::Schema> derived_schema(const Scenario& scenario) {
  std::vector<schema::Field> fields;
  for (const Derived& derived : scenario.derived)
    fields.push_back({derived.name, derived.expression.type(), true});
  return std::make_shared<const schema::Schema>(std::move(fields));
}

}  // namespace

Answers::Answers(const Scenario& scenario)
    : features(scenario.view->output()), derived(derived_schema(scenario)) {}

Result<Scenario> make_scenario(const ViewDefinition& view,
                               const std::vector<DeriveDefinition>& derived,
                               std::shared_ptr<const schema::Schema> source,
                               int64_t allowed_lateness_us) {
  QW_ASSIGN(ViewPtr compiled, View::compile(view, source, allowed_lateness_us));
  auto inputs = expression_inputs(*source, {compiled});
  const auto own = inputs;
  QW_ASSIGN(std::vector<Derived> checked, compile_derived(derived, inputs));
  return Scenario{view.name,
                  std::move(compiled),
                  std::move(checked),
                  own,
                  schema::EventBatch{schema::Batch(std::move(source)), {}},
                  {}};
}

schema::Batch inputs_of(const Scenario& scenario, const schema::Batch& features) {
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
    for (size_t i = 0; i < features.columns().size(); ++i)
      inputs.column(own + i).append_from(features.column(i), row);
  }
  return inputs;
}

}  // namespace qw::features
