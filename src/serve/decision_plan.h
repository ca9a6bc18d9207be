// What a decision is, compiled: which inputs it reads, what scores them, what comes out.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "features/expression/expression.h"
#include "models/engine.h"
#include "schema/batch.h"
#include "schema/stored_schema.h"
#include "serve/stored_input.h"

namespace qw::serve {

// An expression that is known by a name: a rule or an output.
struct NamedProgram {
  std::string name;
  features::Expression expression;
};

// One decision. Its inputs are those of a source (features::SourceFeatures::inputs), then score,
// threshold and warm (or each rule by name), then its own outputs by name. A value; immutable once
// compiled, then readable from any thread.
struct DecisionPlan {
  std::string name;
  std::string model_name;
  std::vector<size_t> key_columns;   // of the source
  std::vector<size_t> model_inputs;  // indexes into the source's inputs
  std::vector<NamedProgram> rules;   // over the source's inputs; none: a model scores
  std::shared_ptr<const schema::Schema> inputs;
  size_t features_begin = 0;                 // where the source's features begin in inputs
  size_t model_begin = 0;                    // where score, threshold, warm begin
  size_t outputs_begin = 0;                  // where the outputs begin
  std::optional<features::Expression> when;  // over the source's inputs
  std::vector<NamedProgram> outputs;
};

// The names and types of what this decision's records list from now on; `engine` scores it, null
// for rules.
schema::DecisionSchema decision_schema(const DecisionPlan& plan,
                                       const models::LearningEngine* engine);

// What the model of this decision reads of stored decisions: its first input, by its key.
InputDefinition input_definition(const DecisionPlan& plan);

// What the record of a decision has as inputs, in its order.
schema::Schema offered_inputs(const DecisionPlan& plan);

// The readable key of a row: the columns' texts joined by '/', with '/' and '%' inside a value
// escaped when there are several columns. False when one of them is null.
bool key_text(const schema::Batch& rows, size_t row, const std::vector<size_t>& columns,
              std::string& out);

}  // namespace qw::serve
