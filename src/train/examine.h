// Judges an engine against labelled data: one number, larger is better.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/result.h"
#include "models/engine.h"
#include "train/data.h"
#include "train/nab/scorer.h"

namespace qw::train {

// What an engine is worth at one threshold.
struct Verdict {
  double score = 0;  // 100: every label found, no false alarm
  double threshold = 0;
  size_t labels = 0;        // real ones
  size_t found = 0;         // of them
  size_t false_alarms = 0;  // alarms outside any real label
  double recall() const {
    return labels == 0 ? 0 : static_cast<double>(found) / static_cast<double>(labels);
  }
};

// Limits on how an examination may use the machine. A value.
struct Pace {
  size_t threads = 1;
  std::stop_token stop;           // asked between two series
  std::function<void()> breathe;  // called after each series, on the thread that ran it
};

// Every score of the engine on one part.
struct Answers {
  std::vector<std::vector<double>> nab;
  std::vector<std::vector<double>> own;  // -infinity where the engine was not warm
};

// Judges engines on one part. A NAB folder: the benchmark's standard score, with the silence after
// an alarm that it is run with. Own history: rows above the threshold with fewer than kEpisodeGap
// quiet rows between them are one alarm, and 100 * 2 hit / (2 hit + missed + false + 0.11 * other)
// is the F1 score over labels in which an alarm that a person called false counts as one, and an
// alarm of which nobody said anything as 0.11, NAB's weight of a false positive. Both: their mean,
// by number of real labels. Immutable; any thread.
class Examiner {
 public:
  static constexpr size_t kEpisodeGap = 30;

  explicit Examiner(Part part);

  // Runs the engine over every series. kUnavailable when asked to stop.
  Result<Answers> run(const models::LearningEngine& engine, const Pace& pace) const;
  Verdict judge(const Answers& answers, double threshold) const;
  // The best of a grid of thresholds; `usual` is one of them and wins ties.
  Verdict best(const Answers& answers, double usual) const;

  const Part& part() const { return part_; }
  // Times and scores of the warm rows that are judged, by time: what a reference profile is made
  // of.
  std::vector<std::pair<int64_t, double>> warm_scores(const Answers& answers) const;

 private:
  void judge_nab(const Answers& answers, double threshold, Verdict& verdict) const;
  double judge_own(const Answers& answers, double threshold, Verdict& verdict) const;

  const Part part_;
  const nab::Scorer scorer_;
  size_t nab_windows_ = 0;
  size_t own_real_ = 0;
};

}  // namespace qw::train
