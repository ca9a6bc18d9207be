// What an application remembers, as data to train a model with: the values its detectors saw and
// the labels in its journal.
#pragma once

#include <cstddef>
#include <string>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "store/store.h"
#include "train/data.h"

namespace qw::app {

// Which labels count, and how much history is read. A value.
struct TrainingSources {
  bool verdicts = true;
  bool incidents = true;
  // Rows of all series together, 16 bytes each. Labelled series come first, then others in an order
  // that has nothing to do with what they hold; a series longer than this keeps its newest rows.
  size_t rows_max = 400'000;
};

// A verdict's label begins this much before its alert: finding it earlier is better, not wrong.
constexpr int64_t kLabelLeadUs = 30'000'000;
// An incident's label ends this much after it: the machine needs a moment.
constexpr int64_t kLabelTailUs = 30'000'000;

// The labels of the decisions that this model (index in the plan) serves, from the journal. Series
// are not filled in: `series` is only there or not. Reads while the application runs, too.
Result<train::LabelCounts> read_label_counts(const store::Store& store, const Plan& plan,
                                             size_t model, const TrainingSources& sources);

// Labels and history. Only what is durable is seen.
Result<train::History> read_history(const store::Store& store, const Plan& plan, size_t model,
                                    const TrainingSources& sources);

}  // namespace qw::app
