#include "train/nab/scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qw::train::nab {
namespace {

constexpr double kProbationShare = 0.15;
constexpr double kProbationRowsBasis = 5000;
constexpr double kFarBehind = 3.0;  // windows past a window: a false positive costs all

double scaled_sigmoid(double position) {
  if (position >= kFarBehind) return -1.0;
  return 2.0 / (1.0 + std::exp(5.0 * position)) - 1.0;
}

size_t first_row_at(const Series& series, int64_t time_us) {
  const auto row = std::find_if(series.rows.begin(), series.rows.end(),
                                [&](const auto& r) { return r.event_time_us == time_us; });
  return static_cast<size_t>(row - series.rows.begin());
}

}  // namespace

size_t probation_rows(size_t rows) {
  const double share = std::floor(kProbationShare * static_cast<double>(rows));
  return static_cast<size_t>(std::min(share, kProbationShare * kProbationRowsBasis));
}

std::vector<RowWorth> worth_of_rows(const Series& series) {
  const double perfect = scaled_sigmoid(-1.0);
  const size_t probation = probation_rows(series.rows.size());
  std::vector<RowWorth> worth(series.rows.size());
  size_t next = 0;  // window to enter next
  int current = RowWorth::kOutside;
  double width = 0;
  size_t right = 0;
  bool behind_one = false;
  for (size_t i = 0; i < series.rows.size(); ++i) {
    const int64_t time_us = series.rows[i].event_time_us;
    if (next < series.windows.size() && time_us == series.windows[next].first_us) {
      current = static_cast<int>(next++);
      const Window& window = series.windows[static_cast<size_t>(current)];
      right = first_row_at(series, window.last_us);
      width = static_cast<double>(right - first_row_at(series, window.first_us) + 1);
    }
    if (current >= 0) {
      const double position = -static_cast<double>(right - i + 1) / width;
      worth[i].sigmoid = scaled_sigmoid(position) / perfect;
    } else {
      const double past = behind_one ? static_cast<double>(i - right) / (width - 1) : kFarBehind;
      worth[i].sigmoid = scaled_sigmoid(past);
    }
    worth[i].window = i >= probation ? current : RowWorth::kProbation;
    if (current >= 0 && time_us == series.windows[static_cast<size_t>(current)].last_us) {
      behind_one = true;
      right = i;
      current = RowWorth::kOutside;
    }
  }
  return worth;
}

std::vector<uint32_t> gated(std::span<const double> scores, double threshold,
                            const models::detectors::AlarmSilence& silence) {
  std::vector<uint32_t> alarms;
  models::detectors::AlarmGate gate;
  for (uint32_t row = 0; row < scores.size(); ++row)
    if (gate.admit(scores[row] >= threshold, silence)) alarms.push_back(row);
  return alarms;
}

Scorer::Scorer(const Corpus& corpus) {
  for (const Series& series : corpus.series) {
    worth_.push_back(worth_of_rows(series));
    windows_.push_back(series.windows.size());
  }
  all_files_.resize(worth_.size());
  std::iota(all_files_.begin(), all_files_.end(), size_t{0});
}

double Scorer::raw_score(size_t file, std::span<const uint32_t> alarms,
                         const Profile& profile) const {
  const double miss = -profile.false_negative;
  std::vector<double> windows(windows_[file], miss);
  // A window that lies wholly in probation cannot be missed.
  std::vector<bool> counts(windows_[file], false);
  for (const RowWorth& row : worth_[file]) {
    if (row.window >= 0) counts[static_cast<size_t>(row.window)] = true;
  }
  double sum = 0;
  for (const uint32_t row : alarms) {
    const RowWorth& worth = worth_[file][row];
    if (worth.window == RowWorth::kOutside) sum += worth.sigmoid * profile.false_positive;
    if (worth.window >= 0) {
      double& best = windows[static_cast<size_t>(worth.window)];
      best = std::max(best, worth.sigmoid * profile.true_positive);
    }
  }
  for (size_t w = 0; w < windows.size(); ++w) sum += counts[w] ? windows[w] : 0;
  return sum;
}

double Scorer::score(const Alarms& alarms, const Profile& profile,
                     std::span<const size_t> files) const {
  double raw = 0;
  double windows = 0;
  for (const size_t file : files) {
    raw += raw_score(file, alarms[file], profile);
    windows += static_cast<double>(windows_[file]);
  }
  const double null = -windows * profile.false_negative;
  const double perfect = windows * profile.true_positive;
  return 100 * (raw - null) / (perfect - null);
}

double Scorer::score(const Alarms& alarms, const Profile& profile) const {
  return score(alarms, profile, all_files_);
}

Scorer::Best Scorer::best_over_thresholds(const Scores& scores, const Profile& profile) const {
  struct Point {
    double score;
    uint32_t file;
    uint32_t row;
  };
  std::vector<Point> points;
  std::vector<std::vector<double>> windows(worth_.size());
  double raw = 0;
  for (const size_t file : all_files_) {
    windows[file].assign(windows_[file], 0);
    std::vector<bool> counts(windows_[file], false);
    for (uint32_t row = 0; row < worth_[file].size(); ++row) {
      const int window = worth_[file][row].window;
      if (window == RowWorth::kProbation) continue;
      points.push_back({scores[file][row], static_cast<uint32_t>(file), row});
      if (window >= 0) counts[static_cast<size_t>(window)] = true;
    }
    for (size_t w = 0; w < counts.size(); ++w) {
      windows[file][w] = counts[w] ? -profile.false_negative : 0;
      raw += windows[file][w];
    }
  }
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return a.score > b.score; });
  Best best{raw, std::numeric_limits<double>::infinity()};
  for (size_t i = 0; i < points.size(); ++i) {
    const RowWorth& worth = worth_[points[i].file][points[i].row];
    if (worth.window == RowWorth::kOutside) {
      raw += worth.sigmoid * profile.false_positive;
    } else {
      double& window = windows[points[i].file][static_cast<size_t>(worth.window)];
      const double now = std::max(window, worth.sigmoid * profile.true_positive);
      raw += now - window;
      window = now;
    }
    const bool last_of_equal = i + 1 == points.size() || points[i + 1].score != points[i].score;
    if (last_of_equal && raw > best.score) {
      best = {raw, points[i].score};
    }
  }
  double total = 0;
  for (const size_t count : windows_) total += static_cast<double>(count);
  const double null = -total * profile.false_negative;
  best.score = 100 * (best.score - null) / (total * profile.true_positive - null);
  return best;
}

}  // namespace qw::train::nab
