#include "train/detector_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/engines/builtin.h"
#include "schema/profile.h"
#include "train/search.h"

namespace qw::train {
namespace {

constexpr double kReach = 2.5;  // a setting is searched from champion / kReach to champion * kReach
constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// What is searched: the settings that matter for the members in use. The threshold is not among
// them: for each trial the best one is found exactly, from the scores.
struct Space {
  std::vector<std::string> names;
  std::vector<Dimension> dimensions;
};

bool in_use(const std::string& name, const models::Settings& settings) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return true;
  const auto weight = settings.find(name.substr(0, dot) + ".weight");
  return weight == settings.end() || weight->second > 0;
}

Space space_around(const std::vector<models::SettingInfo>& table, const models::Settings& start) {
  Space space;
  for (const models::SettingInfo& info : table) {
    if (!info.searched || info.name == "threshold" || !in_use(info.name, start)) continue;
    const double value = start.at(info.name);
    Dimension dimension;
    dimension.start = value;
    dimension.integer = info.integer;
    dimension.log_scale = info.log_scale && info.min > 0 && value > 0;
    dimension.low = std::max(info.min, value / kReach);
    dimension.high = std::min(info.max, value > 0 ? value * kReach : info.max / 10);
    if (info.integer) {
      dimension.low = std::max(info.min, std::floor(dimension.low));
      dimension.high = std::min(info.max, std::ceil(dimension.high));
    }
    space.names.push_back(info.name);
    space.dimensions.push_back(dimension);
  }
  return space;
}

Result<models::Settings> completed(const std::vector<models::SettingInfo>& table,
                                   const std::string& kind, const models::Settings& given) {
  QW_TRY(models::check_settings(kind, given));
  models::Settings all;
  for (const models::SettingInfo& info : table) {
    const auto found = given.find(info.name);
    all[info.name] = found == given.end() ? info.default_value : found->second;
  }
  return all;
}

// The searched part and what was found there so far.
class Trials {
 public:
  Trials(const Examiner& examiner, const SearchPlan& plan, const Pace& pace)
      : examiner_(examiner), plan_(plan), pace_(pace) {}

  // The settings' score on the searched part, with their best threshold put in.
  Result<Verdict> take(models::Settings& settings, size_t state_bytes_max) const {
    Verdict impossible;
    impossible.score = kImpossible;
    const auto engine = models::make_detector(plan_.kind, settings);
    if (!engine.ok() || engine.value()->state_bytes() > state_bytes_max) return impossible;
    QW_ASSIGN(const Answers answers, examiner_.run(**engine, pace_));
    const Verdict verdict = examiner_.best(answers, settings.at("threshold"));
    settings["threshold"] = verdict.threshold;
    if (!models::check_settings(plan_.kind, settings).ok()) return impossible;
    return verdict;
  }

 private:
  const Examiner& examiner_;
  const SearchPlan& plan_;
  const Pace& pace_;
};

struct Judged {
  Verdict verdict;
  std::vector<std::pair<int64_t, double>> scores;
  std::string settings_json;
};

Result<Judged> judge(const Examiner& examiner, const SearchPlan& plan,
                     const models::Settings& settings, const Pace& pace) {
  QW_ASSIGN(const auto engine, models::make_detector(plan.kind, settings));
  QW_ASSIGN(const Answers answers, examiner.run(*engine, pace));
  return Judged{examiner.judge(answers, engine->threshold()), examiner.warm_scores(answers),
                engine->settings_json()};
}

double metric_of(const Verdict& verdict, const std::string& metric) {
  return metric == "recall" ? verdict.recall() : verdict.score;
}

// Why the candidate does not pass; empty when it does.
std::string refusal_of(const SearchPlan& plan, const Verdict& candidate, const Verdict& champion) {
  if (plan.gate.empty() && !(candidate.score > champion.score))
    return fmt::format("held-out score {:.2f} is not better than the champion's {:.2f}",
                       candidate.score, champion.score);
  for (const GateRule& rule : plan.gate) {
    const double value = metric_of(candidate, rule.metric);
    const double base = rule.against_champion ? metric_of(champion, rule.metric) : 0;
    const double limit = base + rule.value;
    if (rule.strict ? value > limit : value >= limit) continue;
    return fmt::format("the gate asks for {} {} {:.2f}{}; it is {:.2f}", rule.metric,
                       rule.strict ? ">" : ">=", limit,
                       rule.against_champion ? fmt::format(" (the champion has {:.2f})", base) : "",
                       value);
  }
  return {};
}

Result<void> check_gate(const SearchPlan& plan) {
  for (const GateRule& rule : plan.gate)
    if (rule.metric != "held_out" && rule.metric != "recall")
      return Error{ErrorCode::kBadInput, fmt::format("there is no metric '{}'", rule.metric),
                   "training.gate", "use held_out or recall"};
  return {};
}

// Searches; fills in what concerns the searched part.
Result<void> run_search(const Examiner& examiner, const SearchPlan& plan, const Clock& clock,
                        const Pace& pace,
                        const std::function<void(const SearchProgress&)>& progress,
                        SearchOutcome& outcome) {
  QW_ASSIGN(const auto table, models::settings_table(plan.kind));
  QW_ASSIGN(const models::Settings start, completed(table, plan.kind, plan.champion));
  QW_ASSIGN(const auto champion, models::make_detector(plan.kind, start));
  const size_t state_bytes_max = std::max(plan.state_bytes_max, champion->state_bytes());
  const Space space = space_around(table, start);
  const int64_t end_ns = clock.monotonic_ns() + plan.seconds_max * 1'000'000'000;
  Search search(space.dimensions, plan.seed);
  const Trials trials(examiner, plan, pace);
  QW_ASSIGN(const Judged usual, judge(examiner, plan, start, pace));
  outcome.champion_search = usual.verdict;
  outcome.search.score = kImpossible;
  while (outcome.trials < plan.trials && (outcome.trials == 0 || clock.monotonic_ns() < end_ns)) {
    models::Settings settings = start;
    const std::vector<double> point = search.ask();
    for (size_t at = 0; at < point.size(); ++at) settings[space.names[at]] = point[at];
    QW_ASSIGN(const Verdict verdict, trials.take(settings, state_bytes_max));
    search.tell(verdict.score);
    outcome.tried.push_back(verdict.score);
    ++outcome.trials;
    if (verdict.score > outcome.search.score) {
      outcome.search = verdict;
      outcome.settings = settings;
    }
    if (progress) progress({outcome.trials, plan.trials, outcome.search.score});
  }
  return {};
}

}  // namespace

std::string profile_of(const std::vector<std::pair<int64_t, double>>& timed) {
  schema::SlicedScores scores;
  for (const auto& [time_us, score] : timed) scores.add(time_us, score);
  return scores.profile().json();
}

Result<SearchOutcome> search_detector(Split split, const SearchPlan& plan, const Clock& clock,
                                      const Pace& pace,
                                      const std::function<void(const SearchProgress&)>& progress) {
  QW_TRY(check_gate(plan));
  SearchOutcome outcome;
  {
    const Examiner examiner(std::move(split.search));
    QW_TRY(run_search(examiner, plan, clock, pace, progress, outcome));
  }
  const Examiner decides(std::move(split.held_out));
  QW_ASSIGN(const Judged champion, judge(decides, plan, plan.champion, pace));
  QW_ASSIGN(Judged candidate, judge(decides, plan, outcome.settings, pace));
  outcome.champion_held_out = champion.verdict;
  outcome.held_out = candidate.verdict;
  outcome.settings_json = std::move(candidate.settings_json);
  outcome.profile_json = profile_of(candidate.scores);
  outcome.refusal = refusal_of(plan, outcome.held_out, outcome.champion_held_out);
  outcome.accepted = outcome.refusal.empty();
  return outcome;
}

}  // namespace qw::train
