#include "nab/run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "train/replay.h"

namespace qw::bench::nab {
namespace {

constexpr size_t kThresholds = 160;

// Thresholds worth trying: dense where few rows lie above.
std::vector<double> threshold_grid(const Scores& scores, std::span<const size_t> files) {
  std::vector<double> all;
  for (const size_t file : files) all.insert(all.end(), scores[file].begin(), scores[file].end());
  std::sort(all.begin(), all.end(), std::greater<>());
  std::vector<double> grid;
  double rank = 20;
  const double last = 0.15 * static_cast<double>(all.size());
  const double factor = std::pow(last / rank, 1.0 / static_cast<double>(kThresholds));
  for (; rank < last; rank *= factor) grid.push_back(all[static_cast<size_t>(rank)]);
  grid.erase(std::unique(grid.begin(), grid.end()), grid.end());
  std::erase_if(grid, [](double threshold) { return threshold <= 0; });
  return grid;
}

std::vector<double> windowed_gaussian(const Series& series) {
  constexpr size_t kWindow = 6400;
  constexpr size_t kStep = 100;
  std::vector<double> window, step;
  double mean = 0, deviation = 1;
  const auto learn = [&] {
    double sum = 0, squares = 0;
    for (const double x : window) sum += x;
    mean = sum / static_cast<double>(window.size());
    for (const double x : window) squares += (x - mean) * (x - mean);
    deviation = std::sqrt(squares / static_cast<double>(window.size()));
    if (deviation == 0) deviation = 0.000001;
  };
  std::vector<double> scores;
  for (const models::Observation& row : series.rows) {
    double score = 0;
    if (!window.empty()) {
      const double z = std::abs(row.value - mean) / deviation;
      score = std::round((1 - 0.5 * std::erfc(z / 1.4142)) * 1e12) / 1e12;
    }
    scores.push_back(score);
    if (window.size() < kWindow) {
      window.push_back(row.value);
      learn();
    } else {
      step.push_back(row.value);
      if (step.size() == kStep) {
        window.erase(window.begin(), window.begin() + kStep);
        window.insert(window.end(), step.begin(), step.end());
        step.clear();
        learn();
      }
    }
  }
  return scores;
}

}  // namespace

void for_each_on_two_threads(size_t count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto loop = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::jthread other(loop);
  loop();
}

Scores run_engine(const Corpus& corpus, const models::LearningEngine& engine) {
  Scores scores(corpus.series.size());
  for_each_on_two_threads(scores.size(), [&](size_t file) {
    scores[file] = train::replay(corpus.series[file].rows, engine).scores;
  });
  return scores;
}

Alarms gate(const Scores& scores, double threshold,
            const models::detectors::AlarmSilence& silence) {
  Alarms alarms(scores.size());
  for (size_t file = 0; file < scores.size(); ++file)
    alarms[file] = train::nab::gated(scores[file], threshold, silence);
  return alarms;
}

Scorer::Best best_gated(const Scorer& scorer, const Scores& scores, const Profile& profile,
                        std::span<const size_t> files) {
  const std::vector<double> grid = threshold_grid(scores, files);
  std::vector<Scorer::Best> tried(grid.size());
  for_each_on_two_threads(grid.size(), [&](size_t i) {
    tried[i] = {scorer.score(gate(scores, grid[i]), profile, files), grid[i]};
  });
  Scorer::Best best;
  for (const Scorer::Best& one : tried) {
    if (one.score > best.score) best = one;
  }
  return best;
}

Scores run_windowed_gaussian(const Corpus& corpus) {
  Scores scores(corpus.series.size());
  for_each_on_two_threads(
      scores.size(), [&](size_t file) { scores[file] = windowed_gaussian(corpus.series[file]); });
  return scores;
}

}  // namespace qw::bench::nab
