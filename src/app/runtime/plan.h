// The application file, compiled: what to do with each event, with every name resolved and every
// expression checked.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config/app_file.h"
#include "app/config/problems.h"
#include "base/result.h"
#include "features/definition.h"
#include "features/expression/expression.h"
#include "models/engine.h"
#include "monitor/alerts/policy.h"

namespace qw::app {

// An expression that is known by a name: a rule or an output.
struct NamedProgram {
  std::string name;
  features::Expression expression;
};

// A compiled view, and the name under which its states are stored.
struct PlanView {
  features::ViewPtr view;
  std::string owner;  // of its states: "view/metric@<hash>"
};

// A model as the file describes it. Exactly one of engine and rules is there; an engine may later
// be replaced by a version of the registry.
struct PlanModel {
  std::string name;
  std::string kind;  // "ensemble", "rules"
  std::shared_ptr<const models::LearningEngine>
      engine;                 // the version that the file itself describes: version 0
  std::string settings;       // of that engine, as JSON
  std::string registry_name;  // where newer versions come from; empty: nowhere
  const Model* file = nullptr;
};

// A sink of a decision, with its condition compiled.
struct PlanSink {
  std::string name;
  const Sink* file = nullptr;
  std::optional<features::Expression> when;  // over the decision's outputs
};

// A healing action of a decision, with its condition compiled.
struct PlanHeal {
  std::string name;
  const Heal* file = nullptr;
  std::optional<features::Expression> when;
};

// A decision's alert: what says how severe, and when it opens and ends.
struct PlanAlert {
  features::Expression severity;
  monitor::AlertPolicy policy;
};

// One decision. Its inputs are the source's `inputs`, then score, threshold and warm (or each rule
// by name), then its own outputs by name.
struct PlanDecision {
  std::string name;
  const Decision* file = nullptr;
  size_t source = 0;
  size_t model = 0;
  std::vector<size_t> key_columns;   // of the source
  std::vector<size_t> model_inputs;  // indexes into the source's inputs
  std::vector<NamedProgram> rules;   // over the source's inputs
  std::shared_ptr<const schema::Schema> inputs;
  size_t model_begin = 0;                    // where score, threshold, warm begin in inputs
  size_t outputs_begin = 0;                  // where the outputs begin in inputs
  std::optional<features::Expression> when;  // over the source's inputs
  std::vector<NamedProgram> outputs;
  std::optional<PlanAlert> alert;
  std::vector<PlanSink> sinks;
  std::vector<PlanHeal> heals;
};

// One source: its columns, the features on its events, and the decisions on them.
struct PlanSource {
  std::string name;
  const Source* file = nullptr;
  std::shared_ptr<const schema::Schema> schema;
  std::vector<PlanView> views;
  std::vector<features::Derived> derived;
  // Columns of the source, then features of the views, then derived features.
  std::shared_ptr<const schema::Schema> inputs;
  size_t features_begin = 0;
  std::vector<size_t> decisions;
};

// Columns of the source that some view of it is made from, each once.
std::vector<size_t> columns_of_views(const PlanSource& source);

// Immutable once made; owns the file it was made from. Readable from any thread.
struct Plan {
  AppFile file;
  std::vector<PlanSource> sources;
  std::vector<PlanModel> models;
  std::vector<PlanDecision> decisions;
};

// Finds every mistake of the file that only compiling can find; `problems` (may be null) gets each
// at its place, the answer is the first. Nothing is started or opened.
Result<std::shared_ptr<const Plan>> compile_plan(AppFile file, Problems* problems = nullptr);

// The readable key of a row: the columns' texts joined by '/', with '/' and '%' inside a value
// escaped when there are several columns. False when one of them is null.
bool key_text(const schema::Batch& rows, size_t row, const std::vector<size_t>& columns,
              std::string& out);

}  // namespace qw::app
