#include "app/runtime/record_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace qw::app {
namespace {

using schema::Field;
using schema::Value;

schema::Type type_of(const Value& value) {
  if (std::holds_alternative<int64_t>(value)) return schema::kInt64;
  if (std::holds_alternative<std::string>(value)) return schema::kString;
  return schema::kDouble;
}

std::string unnamed(size_t index) { return fmt::format("unnamed_{}", index + 1); }

// The planned names where they fit, else none; `named` becomes false then.
std::vector<Field> named_or_not(const std::vector<Value>& values, const std::vector<Field>* planned,
                                bool& named) {
  const auto fits = [](const Value& value, const Field& field) {
    return schema::fits(value, field.type);
  };
  if (planned != nullptr &&
      std::equal(values.begin(), values.end(), planned->begin(), planned->end(), fits))
    return *planned;
  std::vector<Field> fields;
  for (size_t index = 0; index < values.size(); ++index)
    fields.push_back({unnamed(index), type_of(values[index]), true});
  named = named && fields.empty();
  return fields;
}

RecordNames guessed(const schema::DecisionRecord& record, const schema::DecisionSchema* planned) {
  schema::DecisionSchema schema;
  bool named = true;
  const auto list = [&](auto member) { return planned == nullptr ? nullptr : &(planned->*member); };
  schema.features = named_or_not(record.features, list(&schema::DecisionSchema::features), named);
  schema.inputs = named_or_not(record.inputs, list(&schema::DecisionSchema::inputs), named);
  schema.outputs = named_or_not(record.outputs, list(&schema::DecisionSchema::outputs), named);
  if (planned != nullptr && planned->members.size() == record.contributions.size()) {
    schema.members = planned->members;
  } else {
    named = named && record.contributions.empty();
    for (size_t index = 0; index < record.contributions.size(); ++index)
      schema.members.push_back(unnamed(index));
  }
  return {std::make_shared<const schema::DecisionSchema>(std::move(schema)),
          named ? NamesFrom::kPlan : NamesFrom::kNowhere};
}

}  // namespace

Result<RecordNames> DecisionNames::of(const schema::DecisionRecord& record,
                                      const schema::DecisionSchema* planned) {
  if (record.schema_id == 0) return guessed(record, planned);
  QW_ASSIGN(const auto schema, schemas_.decision(record.schema_id));
  if (schema == nullptr || !schema->fits(record)) return guessed(record, nullptr);
  return RecordNames{schema, NamesFrom::kSchema};
}

}  // namespace qw::app
