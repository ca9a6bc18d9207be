// The official NAB score (Lavin & Ahmad 2015, arXiv:1510.03336, and the benchmark's sweeper):
// early detections inside a labelled window earn up to 1, alarms after a window cost little at
// first and then the full weight, windows without an alarm cost the miss weight; the sum over all
// files is scaled so that a detector that never alarms has 0 and a perfect one 100.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/engines/detectors/alarm_gate.h"
#include "train/nab/corpus.h"

namespace qw::train::nab {

// What an alarm at one row of a file would be worth.
struct RowWorth {
  static constexpr int kOutside = -1;    // a false positive
  static constexpr int kProbation = -2;  // the first 15% (of at most 5000 rows) do not count
  double sigmoid = 0;                    // inside: share of a perfect detection; outside: -1..0
  int window = kOutside;
};

// Rows of the file in order. Rows in probation count as nothing.
std::vector<RowWorth> worth_of_rows(const Series& series);

// Rows the benchmark leaves a detector to learn.
size_t probation_rows(size_t rows);

// Alarms by file, then by row, ascending.
using Alarms = std::vector<std::vector<uint32_t>>;
// Detector scores by file, then by row.
using Scores = std::vector<std::vector<double>>;

// The alarms that a threshold and the silence after each alarm make of one file's scores.
std::vector<uint32_t> gated(std::span<const double> scores, double threshold,
                            const models::detectors::AlarmSilence& silence = {});

// Scores sets of alarms for one corpus. Immutable; safe to share between threads.
class Scorer {
 public:
  explicit Scorer(const Corpus& corpus);

  // Normalised score of the files listed in `files` (indexes into the corpus).
  double score(const Alarms& alarms, const Profile& profile, std::span<const size_t> files) const;
  double score(const Alarms& alarms, const Profile& profile) const;

  // The raw (not normalised) sum of one file.
  double raw_score(size_t file, std::span<const uint32_t> alarms, const Profile& profile) const;

  // The official scheme: the best score over all thresholds, one threshold for all files, every
  // row at or above it an alarm.
  struct Best {
    double score = 0;
    double threshold = 0;
  };
  Best best_over_thresholds(const Scores& scores, const Profile& profile) const;

  const std::vector<size_t>& all_files() const { return all_files_; }
  size_t windows(size_t file) const { return windows_[file]; }

 private:
  std::vector<std::vector<RowWorth>> worth_;
  std::vector<size_t> windows_;
  std::vector<size_t> all_files_;
};

}  // namespace qw::train::nab
