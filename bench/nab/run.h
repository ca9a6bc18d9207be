// Runs detectors over the corpus, row by row, each file with a fresh state.
#pragma once

#include <functional>
#include <vector>

#include "models/engine.h"
#include "train/nab/corpus.h"
#include "train/nab/scorer.h"

namespace qw::bench::nab {

using train::nab::Alarms;
using train::nab::Corpus;
using train::nab::Profile;
using train::nab::read_corpus;
using train::nab::Scorer;
using train::nab::Scores;
using train::nab::Series;
using train::nab::Window;
using train::nab::worth_of_rows;

// The engine's score of every row of every file, on two threads.
Scores run_engine(const Corpus& corpus, const models::LearningEngine& engine);

// The alarms that a threshold and the silence after each alarm make of scores.
Alarms gate(const Scores& scores, double threshold,
            const models::detectors::AlarmSilence& silence = {});

// The best score over a grid of thresholds (one for all files), with silence after each alarm.
Scorer::Best best_gated(const Scorer& scorer, const Scores& scores, const Profile& profile,
                        std::span<const size_t> files);

// NAB's own Windowed Gaussian detector, rewritten: the benchmark's published figures for it test
// the scorer. Tail probability over the last `window` values, window moved in steps of `step`.
Scores run_windowed_gaussian(const Corpus& corpus);

// Calls work(0) ... work(count - 1) on two threads.
void for_each_on_two_threads(size_t count, const std::function<void(size_t)>& work);

}  // namespace qw::bench::nab
