// One training of one model, from data to a version in the registry.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/runtime/plan.h"
#include "app/runtime/training_data.h"
#include "base/env.h"
#include "base/result.h"
#include "models/registry.h"
#include "store/store.h"
#include "train/detector_search.h"
#include "train/publish.h"

namespace qw::app {

// What one run is asked to do: the file's `training` entry of a model, or its defaults, with what
// the command line says in place of it. A value.
struct TrainingWish {
  size_t model = 0;  // index in the plan
  std::string run_id;
  std::string trigger;  // "command", "person", "verdict", "drift", "schedule"
  std::string reason;
  TrainingSources sources;
  std::string nab_folder;  // empty: none
  size_t labels_at_least = 5;
  double held_out = 0.3;
  std::vector<train::GateRule> gate;
  size_t trials = 30;
  int64_t seconds_max = 60;
  uint64_t seed = 1;
  std::string then = "swap";
};

// The wish that the file's entry for this model makes. `training`: an entry's name; empty: the
// model's first.
TrainingWish training_wish(const Plan& plan, size_t model, const std::string& training = "");
// The model of this name; empty: the only one with a detector. kNotFound, kBadInput: there are
// several; both name them.
Result<size_t> trainable_model(const Plan& plan, const std::string& name);

// What a run came to.
struct TrainingReport {
  train::LabelCounts labels;
  size_t labels_held_out = 0;
  int64_t champion = 0;
  train::SearchOutcome outcome;
  models::VersionInfo version;  // published, or refused with its reason
};

// Reads, splits, searches, decides, publishes. `store` null: no history of its own. Blocks for the
// length of the search; `pace` says how much of the machine it takes. kBadInput: too few labels
// (the message has the count and the need); kUnavailable: asked to stop.
Result<TrainingReport> run_training(const store::Store* store, models::Registry& registry,
                                    const Plan& plan, const TrainingWish& wish, const Clock& clock,
                                    const train::Pace& pace,
                                    const std::function<void(const train::SearchProgress&)>& tell);

}  // namespace qw::app
