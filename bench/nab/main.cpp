// bench_nab --data DIR [--json]: the Numenta Anomaly Benchmark, each detector and the ensemble,
// streaming, one setting and one threshold for all 58 files.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "arguments.h"
#include "base/env.h"
#include "models/engines/builtin.h"
#include "nab/run.h"
#include "report.h"

namespace qw::bench::nab {
namespace {

constexpr int kJitterDraws = 12;
constexpr double kJitterWidth = 0.2;  // settings are multiplied by e^-0.2 .. e^0.2
constexpr int kHeldOutDraws = 16;
constexpr double kHeldOutWidth = 0.5;

constexpr const char* kPublished = "Numenta HTM (published)";

// Every searched setting of the ensemble, weights too, multiplied by e^-width .. e^width.
// The threshold stays, so that a draw is one thing that somebody might have shipped.
models::Settings perturbed(const std::vector<models::SettingInfo>& table, double width,
                           Random& random) {
  models::Settings settings;
  for (const models::SettingInfo& info : table) {
    if (!info.searched || info.default_value == 0 || info.name == "threshold") continue;
    double value = info.default_value * std::exp((2 * random.uniform() - 1) * width);
    if (info.integer) value = std::round(value);
    settings[info.name] = std::min(info.max, std::max(info.min, value));
  }
  return settings;
}

class Bench {
 public:
  explicit Bench(Corpus corpus) : corpus_(std::move(corpus)), scorer_(corpus_) {}

  Result<void> run(Report& report) {
    check_scorer(report);
    for (const std::string_view kind : models::detectors::detector_kinds()) {
      if (kind != "ensemble") QW_TRY(run_single(kind, report));
    }
    QW_TRY(run_ensemble(report));
    QW_TRY(run_jitter(report));
    return run_held_out(report);
  }

 private:
  const Profile& standard() const { return corpus_.profiles[0]; }

  void check_scorer(Report& report) {
    const Scores scores = run_windowed_gaussian(corpus_);
    report.add({"nab.windowed_gaussian.standard",
                scorer_.best_over_thresholds(scores, standard()).score,
                "points",
                true,
                {},
                "published",
                39.65,
                "tests the scorer"});
  }

  Result<void> run_single(std::string_view kind, Report& report) {
    QW_ASSIGN(const auto engine, models::make_detector(kind));
    const Scores scores = run_engine(corpus_, *engine);
    const double score = scorer_.score(gate(scores, engine->threshold()), standard());
    report.add({"nab." + std::string(kind) + ".standard", score, "points", true, {}, "", {}, ""});
    return {};
  }

  Result<void> run_ensemble(Report& report) {
    QW_ASSIGN(const auto engine, models::make_detector("ensemble"));
    const Alarms alarms = gate(run_engine(corpus_, *engine), engine->threshold());
    const char* names[] = {"standard", "low_fp", "low_fn"};
    const double published[] = {70.10, 63.12, 74.32};
    for (size_t i = 0; i < corpus_.profiles.size() && i < 3; ++i) {
      std::optional<double> target;
      if (i == 0) target = 70;
      report.add({"nab.ensemble." + std::string(names[i]),
                  scorer_.score(alarms, corpus_.profiles[i]), "points", true, target, kPublished,
                  published[i], i == 0 ? "" : "threshold of the standard profile"});
    }
    return {};
  }

  Result<void> run_jitter(Report& report) {
    QW_ASSIGN(const auto table, models::settings_table("ensemble"));
    Random random(7);
    double sum = 0, squares = 0;
    for (int draw = 0; draw < kJitterDraws; ++draw) {
      QW_ASSIGN(const auto engine,
                models::make_detector("ensemble", perturbed(table, kJitterWidth, random)));
      const Scores scores = run_engine(corpus_, *engine);
      const double score = scorer_.score(gate(scores, engine->threshold()), standard());
      sum += score;
      squares += score * score;
    }
    const double mean = sum / kJitterDraws;
    const double deviation = std::sqrt(std::max(0.0, squares / kJitterDraws - mean * mean));
    report.add({"nab.ensemble.jitter_mean", mean, "points", true, 68, kPublished, 70.10,
                std::to_string(kJitterDraws) + " draws, all settings within 20%, same threshold"});
    report.add({"nab.ensemble.jitter_sd", deviation, "points", false, {}, "", {}, ""});
    return {};
  }

  // Settings and threshold chosen on one half of the files, alarms taken on the other; both ways,
  // then scored together.
  Result<void> run_held_out(Report& report) {
    QW_ASSIGN(const auto table, models::settings_table("ensemble"));
    std::vector<size_t> halves[2];
    for (const size_t file : scorer_.all_files()) halves[file % 2].push_back(file);
    Random random(11);
    Scorer::Best chosen[2];
    Alarms alarms(corpus_.series.size());
    for (int draw = 0; draw < kHeldOutDraws; ++draw) {
      QW_ASSIGN(const auto engine,
                models::make_detector("ensemble", perturbed(table, kHeldOutWidth, random)));
      const Scores scores = run_engine(corpus_, *engine);
      for (size_t half = 0; half < 2; ++half) {
        const Scorer::Best best = best_gated(scorer_, scores, standard(), halves[half]);
        if (best.score <= chosen[half].score) continue;
        chosen[half] = best;
        Alarms other = gate(scores, best.threshold);
        for (const size_t file : halves[1 - half]) alarms[file] = std::move(other[file]);
      }
    }
    report.add({"nab.ensemble.held_out",
                scorer_.score(alarms, standard()),
                "points",
                true,
                {},
                kPublished,
                70.10,
                "best of " + std::to_string(kHeldOutDraws) +
                    " wide draws on half the files, scored on the other half, both ways"});
    return {};
  }

  Corpus corpus_;
  Scorer scorer_;
};

int run(int count, char** words) {
  bool as_json = false;
  const char* from_environment = std::getenv("QUICKWATER_DATA");
  std::string data = from_environment != nullptr ? from_environment : "";
  Arguments arguments("bench_nab");
  arguments.flag("--json", as_json);
  arguments.value("--data", "DIR", data);
  if (!arguments.read(count, words)) return 2;
  if (data.empty()) {
    std::fprintf(stderr,
                 "bench_nab: no data: give --data DIR, whose folder nab holds the files, or set "
                 "QUICKWATER_DATA\n");
    return 2;
  }
  auto corpus = read_corpus(data + "/nab");
  if (!corpus) {
    std::fprintf(stderr, "bench_nab: %s\n", corpus.error().to_string().c_str());
    return 1;
  }
  Report report("nab");
  const Result<void> done = Bench(std::move(corpus).value()).run(report);
  if (!done.ok()) {
    std::fprintf(stderr, "bench_nab: %s\n", done.error().to_string().c_str());
    return 1;
  }
  report.print(as_json);
  return 0;
}

}  // namespace
}  // namespace qw::bench::nab

int main(int count, char** words) { return qw::bench::nab::run(count, words); }
