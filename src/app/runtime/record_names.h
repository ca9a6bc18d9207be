// What the values of decisions are called: those to be made, and those that a store holds.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "schema/stored_schema.h"
#include "serve/stored_input.h"
#include "store/schemas.h"

namespace qw::app {

// The names and types of what this decision's records list from now on; `engine` scores it, null
// for rules.
schema::DecisionSchema decision_schema(const Plan& plan, size_t decision,
                                       const models::LearningEngine* engine);

// What the model of this decision reads of stored decisions: its first input, by its key.
serve::InputDefinition input_definition(const Plan& plan, size_t decision);

enum class NamesFrom : uint8_t {
  kSchema,   // the record's own schema
  kPlan,     // an old record without one: the application file has as many, of the same types
  kNowhere,  // an old record that the file does not fit: unnamed_1, unnamed_2, ...
};

// The schema of a record that was read. A value; the schema has a name for each of its values.
struct RecordNames {
  std::shared_ptr<const schema::DecisionSchema> schema;
  NamesFrom from = NamesFrom::kSchema;
};

// Finds what the values of stored decisions are called. Does not own the store; one thread at a
// time.
class DecisionNames {
 public:
  explicit DecisionNames(const store::Store& store) : schemas_(store) {}
  // `planned`: what the application file says of the decision; null when it has none of that name.
  Result<RecordNames> of(const schema::DecisionRecord& record,
                         const schema::DecisionSchema* planned);

 private:
  store::Schemas schemas_;
};

}  // namespace qw::app
