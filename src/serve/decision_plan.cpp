#include "serve/decision_plan.h"

#include "features/cell_text.h"

namespace qw::serve {
namespace {

void append_escaped(std::string_view value, std::string& out) {
  for (const char letter : value) {
    if (letter == '/')
      out += "%2F";
    else if (letter == '%')
      out += "%25";
    else
      out.push_back(letter);
  }
}

}  // namespace

schema::DecisionSchema decision_schema(const DecisionPlan& plan,
                                       const models::LearningEngine* engine) {
  schema::DecisionSchema schema;
  for (const size_t column : plan.key_columns) schema.key.push_back(plan.inputs->field(column));
  for (size_t at = plan.features_begin; at < plan.model_begin; ++at)
    schema.features.push_back(plan.inputs->field(at));
  for (const size_t at : plan.model_inputs) schema.inputs.push_back(plan.inputs->field(at));
  if (engine != nullptr)
    for (const std::string_view member : engine->members()) schema.members.emplace_back(member);
  for (size_t index = 0; index < plan.outputs.size(); ++index)
    schema.outputs.push_back(plan.inputs->field(plan.outputs_begin + index));
  return schema;
}

InputDefinition input_definition(const DecisionPlan& plan) {
  InputDefinition reads;
  for (const size_t column : plan.key_columns) reads.key.push_back(plan.inputs->field(column));
  if (!plan.model_inputs.empty()) reads.input = plan.inputs->field(plan.model_inputs.front());
  return reads;
}

schema::Schema offered_inputs(const DecisionPlan& plan) {
  std::vector<schema::Field> fields;
  for (const size_t at : plan.model_inputs) fields.push_back(plan.inputs->field(at));
  return schema::Schema(std::move(fields));
}

bool key_text(const schema::Batch& rows, size_t row, const std::vector<size_t>& columns,
              std::string& out) {
  out.clear();
  for (size_t index = 0; index < columns.size(); ++index) {
    const schema::Column& column = rows.column(columns[index]);
    if (!column.valid(row)) return false;
    if (index > 0) out.push_back('/');
    if (column.type().kind == schema::Kind::kString && columns.size() > 1)
      append_escaped(column.string_at(row), out);
    else
      features::append_key_part(column, row, out);
  }
  return true;
}

}  // namespace qw::serve
