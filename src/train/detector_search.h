// The trainer of detectors: searches their settings, and lets data that the search never saw
// decide.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "models/engines/detectors/settings.h"
#include "train/data.h"
#include "train/examine.h"

namespace qw::train {

// A condition that a new version must meet: METRIC >= value, or >= champion's + value.
struct GateRule {
  std::string metric;  // "held_out" or "recall"
  bool against_champion = false;
  double value = 0;
  bool strict = false;
};

// What to search, and how long. A value.
struct SearchPlan {
  std::string kind;           // of the detector: "ensemble"
  models::Settings champion;  // where the search begins, and what must be beaten
  size_t trials = 30;
  int64_t seconds_max = 60;  // a search that this ends is not repeatable
  uint64_t seed = 1;
  size_t state_bytes_max = 64 << 10;  // a series; the champion's own when that is more
  std::vector<GateRule> gate;         // empty: better than the champion on the held-out part
};

// How far a search is. A value.
struct SearchProgress {
  size_t done = 0;
  size_t total = 0;
  double best = 0;  // on the searched part
};

// How a search went.
struct SearchOutcome {
  bool accepted = false;
  std::string refusal;  // why not
  models::Settings settings;
  std::string settings_json;  // all of them
  Verdict champion_search, champion_held_out;
  Verdict search, held_out;  // of the candidate
  size_t trials = 0;
  std::string profile_json;   // reference profile of the candidate's scores
  std::vector<double> tried;  // each trial's score on the searched part, in order
};

// The search looks at split.search alone; then the best candidate and the champion are judged once
// on split.held_out. Equal inputs and seeds give equal outcomes unless seconds_max ends it.
// kBadInput: no such kind or metric; kUnavailable: asked to stop.
Result<SearchOutcome> search_detector(Split split, const SearchPlan& plan, const Clock& clock,
                                      const Pace& pace,
                                      const std::function<void(const SearchProgress&)>& progress);

// {"scores": {"count": n, "quantiles": [the 101 percentiles, rising]}}: what monitors compare live
// scores of warm series with. From times and scores.
std::string profile_of(const std::vector<std::pair<int64_t, double>>& timed);

}  // namespace qw::train
