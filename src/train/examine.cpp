#include "train/examine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <thread>

#include "base/guard.h"
#include "train/replay.h"

namespace qw::train {
namespace {

constexpr double kOtherWeight = 0.11;  // an alarm of which nobody said anything
constexpr size_t kThresholds = 80;
constexpr double kNever = -std::numeric_limits<double>::infinity();

struct Episode {
  int64_t first_us = 0;
  int64_t last_us = 0;
};

// Alarms of one series: spans of rows at or above the threshold.
template <class Use>
void each_episode(const std::vector<models::Observation>& rows, const std::vector<double>& scores,
                  double threshold, int64_t from_us, const Use& use) {
  std::optional<Episode> open;
  size_t quiet = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].event_time_us < from_us) continue;
    if (scores[row] >= threshold) {
      if (!open) open = Episode{rows[row].event_time_us, rows[row].event_time_us};
      open->last_us = std::max(open->last_us, rows[row].event_time_us);
      quiet = 0;
    } else if (open && ++quiet > Examiner::kEpisodeGap) {
      use(*open);
      open.reset();
    }
  }
  if (open) use(*open);
}

bool touches(const Label& label, size_t series, const Episode& episode) {
  return (!label.series || *label.series == series) && label.first_us <= episode.last_us &&
         label.last_us >= episode.first_us;
}

const nab::Profile& standard(const nab::Corpus& corpus) {
  static const nab::Profile kStandard{"standard", 1, 0.11, 1};
  for (const nab::Profile& profile : corpus.profiles)
    if (profile.name == "standard") return profile;
  return kStandard;
}

}  // namespace

Examiner::Examiner(Part part) : part_(std::move(part)), scorer_(part_.nab) {
  for (const nab::Series& series : part_.nab.series) nab_windows_ += series.windows.size();
  for (const Label& label : part_.own.labels) own_real_ += label.real;
}

Result<Answers> Examiner::run(const models::LearningEngine& engine, const Pace& pace) const {
  Answers answers;
  answers.nab.resize(part_.nab.series.size());
  answers.own.resize(part_.own.series.size());
  const size_t count = answers.nab.size() + answers.own.size();
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t at = next++; at < count && !pace.stop.stop_requested(); at = next++) {
      if (at < answers.nab.size()) {
        answers.nab[at] = replay(part_.nab.series[at].rows, engine).scores;
      } else {
        const size_t own = at - answers.nab.size();
        Replayed replayed = replay(part_.own.series[own].rows, engine);
        for (size_t row = 0; row < replayed.scores.size(); ++row)
          if (!replayed.warm[row]) replayed.scores[row] = kNever;
        answers.own[own] = std::move(replayed.scores);
      }
      if (pace.breathe) pace.breathe();
    }
  };
  Result<void> worked;
  std::mutex mutex;
  const auto work_guarded = [&] {
    auto done = guarded("the examination", work);
    if (done.ok()) return;
    next = count;
    const std::lock_guard lock(mutex);
    worked = std::move(done);
  };
  {
    std::vector<std::jthread> others;
    // A machine that gives no more threads makes it slower only.
    (void)guarded("a thread", [&] {
      for (size_t extra = 1; extra < pace.threads; ++extra) others.emplace_back(work_guarded);
    });
    work_guarded();
  }
  QW_TRY(worked);
  if (pace.stop.stop_requested())
    return Error{ErrorCode::kUnavailable, "the training was asked to stop", "", ""};
  return answers;
}

void Examiner::judge_nab(const Answers& answers, double threshold, Verdict& verdict) const {
  nab::Alarms alarms;
  for (size_t at = 0; at < answers.nab.size(); ++at) {
    alarms.push_back(nab::gated(answers.nab[at], threshold));
    const auto& rows = part_.nab.series[at].rows;
    const auto& windows = part_.nab.series[at].windows;
    std::vector<bool> hit(windows.size(), false);
    for (const uint32_t row : alarms.back()) {
      bool inside = false;
      for (size_t window = 0; window < windows.size(); ++window)
        if (windows[window].first_us <= rows[row].event_time_us &&
            rows[row].event_time_us <= windows[window].last_us)
          inside = hit[window] = true;
      verdict.false_alarms += !inside && row >= nab::probation_rows(rows.size());
    }
    verdict.found += static_cast<size_t>(std::count(hit.begin(), hit.end(), true));
  }
  verdict.labels += nab_windows_;
  verdict.score = scorer_.score(alarms, standard(part_.nab));
}

double Examiner::judge_own(const Answers& answers, double threshold, Verdict& verdict) const {
  const std::vector<Label>& labels = part_.own.labels;
  std::vector<bool> hit(labels.size(), false);
  size_t others = 0;
  for (size_t at = 0; at < answers.own.size(); ++at)
    each_episode(part_.own.series[at].rows, answers.own[at], threshold, part_.from_us,
                 [&](const Episode& episode) {
                   bool real = false;
                   bool said_false = false;
                   for (size_t label = 0; label < labels.size(); ++label) {
                     if (!touches(labels[label], at, episode)) continue;
                     hit[label] = true;
                     (labels[label].real ? real : said_false) = true;
                   }
                   others += !real && !said_false;
                   verdict.false_alarms += !real;
                 });
  double found = 0;
  double called_false = 0;
  for (size_t label = 0; label < labels.size(); ++label)
    if (hit[label]) ++(labels[label].real ? found : called_false);
  verdict.found += static_cast<size_t>(found);
  verdict.labels += own_real_;
  const double missed = static_cast<double>(own_real_) - found;
  const double cost = missed + called_false + kOtherWeight * static_cast<double>(others);
  return found == 0 ? 0 : 100 * 2 * found / (2 * found + cost);
}

Verdict Examiner::judge(const Answers& answers, double threshold) const {
  Verdict verdict;
  verdict.threshold = threshold;
  if (nab_windows_ > 0) judge_nab(answers, threshold, verdict);
  if (own_real_ == 0) return verdict;
  const double own = judge_own(answers, threshold, verdict);
  const auto nab_labels = static_cast<double>(nab_windows_);
  const auto own_labels = static_cast<double>(own_real_);
  verdict.score = (verdict.score * nab_labels + own * own_labels) / (nab_labels + own_labels);
  return verdict;
}

Verdict Examiner::best(const Answers& answers, double usual) const {
  std::vector<double> all;
  for (const auto* part : {&answers.nab, &answers.own})
    for (const auto& scores : *part)
      std::copy_if(scores.begin(), scores.end(), std::back_inserter(all),
                   [](double score) { return score > 0; });
  std::sort(all.begin(), all.end(), std::greater<>());
  Verdict best = judge(answers, usual);
  all.push_back(0);
  double rank = 0.5;
  const double last = std::max(2.0, 0.2 * static_cast<double>(all.size()));
  const double factor = std::pow(last / rank, 1.0 / kThresholds);
  size_t before = all.size();
  for (; rank < last; rank *= factor) {
    const auto at = static_cast<size_t>(rank);
    if (at == before || at + 1 >= all.size()) continue;
    before = at;
    const auto lower = std::upper_bound(all.begin() + static_cast<ptrdiff_t>(at), all.end(),
                                        all[at], std::greater<>());
    if (lower == all.end()) continue;
    // Half-way to the next score: rows a little lower, elsewhere, are alarms too.
    const Verdict tried = judge(answers, (all[at] + *lower) / 2);
    if (tried.score > best.score) best = tried;
  }
  return best;
}

std::vector<std::pair<int64_t, double>> Examiner::warm_scores(const Answers& answers) const {
  std::vector<std::pair<int64_t, double>> scores;
  for (size_t at = 0; at < answers.nab.size(); ++at) {
    const auto& rows = part_.nab.series[at].rows;
    for (size_t row = nab::probation_rows(rows.size()); row < rows.size(); ++row)
      scores.emplace_back(rows[row].event_time_us, answers.nab[at][row]);
  }
  for (size_t at = 0; at < answers.own.size(); ++at) {
    const auto& rows = part_.own.series[at].rows;
    for (size_t row = 0; row < rows.size(); ++row)
      if (answers.own[at][row] > kNever && rows[row].event_time_us >= part_.from_us)
        scores.emplace_back(rows[row].event_time_us, answers.own[at][row]);
  }
  std::sort(scores.begin(), scores.end());
  return scores;
}

}  // namespace qw::train
