// Puts two executors' answers side by side, feature by feature.
#pragma once

#include <string>
#include <vector>

#include "features/parity/scenario.h"

namespace qw::features {

// The first row at which two executors differ by more than the feature's class allows.
struct Difference {
  size_t read = 0;
  std::string ours;
  std::string theirs;
  double bound = 0;    // what was allowed; 0 for exact
  std::string inputs;  // the read, and the events of its key up to it
};

// How far two executors differ on one feature of one scenario. A value.
struct FeatureReport {
  std::string scenario;
  std::string feature;  // "card.spent_7d"; a derived feature has no dot
  std::string against;  // "duckdb", "oracle"
  ParityClass parity = ParityClass::kExact;
  size_t rows = 0;                // compared
  size_t skipped = 0;             // not comparable: the live state said hot_key or incomplete
  size_t outside = 0;             // beyond the class
  double worst = 0;               // largest |difference|; of outside ones too
  double worst_of_bound = 0;      // largest |difference| / bound, for float
  std::vector<Difference> first;  // none or one
};

// What all comparisons of a run found. A value.
struct ParityReport {
  std::vector<FeatureReport> features;
  std::vector<std::string> notes;  // what could not be run, and why

  size_t outside() const;
  size_t rows() const;
  // A table, then the first difference of each feature that has one.
  std::string to_text() const;
  // One object: {"outside", "rows", "features": [...], "notes": [...]}.
  std::string to_json() const;
};

// Compares the rows in `sample` (all when empty). `theirs` gives the bounds.
void compare_answers(const Scenario& scenario, const Answers& ours, const Answers& theirs,
                     std::string_view against, const std::vector<size_t>& sample,
                     ParityReport& report);

// The read, and the events of its key in order, newest last; at most 20 of them.
std::string describe_read(const Scenario& scenario, size_t read);

}  // namespace qw::features
