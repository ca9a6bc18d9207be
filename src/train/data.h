// What a training learns from: the history of each series, and labels that say when something was
// wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/engine.h"
#include "train/nab/corpus.h"

namespace qw::train {

// A span of event time about which somebody knows the truth. A value.
struct Label {
  std::optional<size_t> series;  // index into History::series; none: something in any series
  int64_t first_us = 0;
  int64_t last_us = 0;  // inclusive
  bool real = true;     // false: what alarmed then was a false alarm
  std::string from;     // "incident", "verdict"
  std::string id;       // of the incident or alert
};

// One series as its model saw it, in the order in which it learned. A value.
struct Series {
  std::string name;
  std::vector<models::Observation> rows;
};

// An application's own past. A value.
struct History {
  std::vector<Series> series;
  std::vector<Label> labels;
};

// Everything labelled that one training may use. A value; either part may be empty.
struct TrainingData {
  nab::Corpus nab;
  History own;
};

// How much of it there is.
struct LabelCounts {
  size_t total = 0;
  size_t real = 0;
  size_t false_alarms = 0;
  size_t nab = 0;  // of the real ones
};
LabelCounts count_labels(const TrainingData& data);

// One side of a split: all that may be seen there. `own.labels` lie wholly at or after `from_us`;
// own rows before it are learned from and not judged.
struct Part {
  nab::Corpus nab;
  History own;
  int64_t from_us = INT64_MIN;
};

// The part that settings are searched on and the part that decides. Nothing of one is in the other
// but rows of the own history before the cut, which the held-out part's detectors learn from
// without labels, as they do in service.
struct Split {
  Part search;
  Part held_out;
  int64_t cut_us = 0;  // own history: labels and rows from here on are held out
};

// Holds out about `share` of the labels: whole series of a NAB folder, chosen by the hash of their
// names; of the own history everything from one moment on, moved back until no label spans it.
// kBadInput: fewer than `at_least` labels, or one side would have no real one; the message has the
// count and the need.
Result<Split> split_data(TrainingData data, double share, size_t at_least);

// The same refusal from the counts alone.
Result<void> check_enough(const LabelCounts& counts, size_t at_least);

}  // namespace qw::train
