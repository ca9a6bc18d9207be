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
#include "features/expression/expression.h"
#include "features/online/source_features.h"
#include "monitor/alerts/policy.h"
#include "serve/decision_plan.h"
#include "serve/model_plan.h"

namespace qw::app {

// A model as the file describes it. Exactly one of engine and rules is there; an engine may later
// be replaced by a version of the registry.
struct PlanModel : serve::ModelPlan {
  std::string kind;      // "ensemble", "rules", "registry": only versions of there
  std::string settings;  // of the engine, as JSON
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

// One decision, and what hears of it.
struct PlanDecision : serve::DecisionPlan {
  const Decision* file = nullptr;
  size_t source = 0;
  size_t model = 0;
  std::optional<PlanAlert> alert;
  std::vector<PlanSink> sinks;
  std::vector<PlanHeal> heals;
};

// One source: its columns, the features on its events, and the decisions on them.
struct PlanSource : features::SourceFeatures {
  const Source* file = nullptr;
  std::vector<size_t> decisions;
};

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

// The model of this name that has versions in the registry; empty: the only one. kNotFound,
// kBadInput: there are several; both name them.
Result<size_t> versioned_model(const Plan& plan, const std::string& name);

}  // namespace qw::app
