#include "features/parity/parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "features/parity/executors.h"
#include "features/parity/generate.h"
#include "features/parity/nab.h"

namespace qw::features {
namespace {

std::vector<size_t> spread_sample(size_t count, size_t most) {
  std::vector<size_t> sample;
  const size_t take = std::min(count, most);
  for (size_t i = 0; i < take; ++i) sample.push_back(i * count / take);
  return sample;
}

ViewDefinition nab_view() {
  return {"metric",
          "nab",
          {"metric"},
          {"1h", "1d/1h"},
          {{"n", "count()"},
           {"sum", "sum(value)"},
           {"mean", "mean(value)"},
           {"lo", "min(value)"},
           {"hi", "max(value)"},
           {"var", "variance(value)"},
           {"last", "last(value)"},
           {"recent", "last_k(value, 3)"},
           {"p95", "quantile(value, 0.95)"},
           {"pace", "rate()"}}};
}

bool differs(const Scenario& scenario, const ParityOptions& options) {
  ParityReport report;
  return compare_scenario(scenario, options, report).ok() && report.outside() > 0;
}

// Adds up the reports of many small scenarios, per executor and class.
void add_up(const ParityReport& one,
            std::map<std::pair<std::string, ParityClass>, FeatureReport>& all) {
  for (const FeatureReport& f : one.features) {
    FeatureReport& sum = all[{f.against, f.parity}];
    sum.scenario = "random scenarios";
    sum.feature = "(all of this class)";
    sum.against = f.against;
    sum.parity = f.parity;
    sum.rows += f.rows;
    sum.skipped += f.skipped;
    sum.outside += f.outside;
    sum.worst = std::max(sum.worst, f.worst);
    sum.worst_of_bound = std::max(sum.worst_of_bound, f.worst_of_bound);
  }
}

Result<void> run_random(const ParityOptions& options, ParityReport& report) {
  std::map<std::pair<std::string, ParityClass>, FeatureReport> all;
  bool shown = false;
  for (size_t i = 0; i < options.random_scenarios; ++i) {
    const uint64_t seed = options.seed * 1'000'003 + i;
    QW_ASSIGN(const Scenario scenario, make_random_scenario(seed));
    ParityReport one;
    QW_TRY(compare_scenario(scenario, options, one));
    add_up(one, all);
    if (options.progress) options.progress(i + 1, options.random_scenarios, "random scenarios");
    if (one.outside() == 0 || shown) continue;
    shown = true;
    QW_ASSIGN(const Scenario small, shrink(scenario, options));
    QW_TRY(compare_scenario(small, options, report));
    report.notes.push_back(
        fmt::format("random scenario of seed {} differs; shrunk from {} events "
                    "to {}",
                    seed, scenario.events.facts.size(), small.events.facts.size()));
  }
  for (auto& [name, sum] : all) report.features.push_back(std::move(sum));
  return {};
}

Result<void> run_nab(const ParityOptions& options, ParityReport& report) {
  if (options.nab_folder.empty()) {
    report.notes.emplace_back("NAB was left out: no folder given");
    return {};
  }
  QW_ASSIGN(const std::vector<std::string> files, nab_files(options.nab_folder));
  const std::vector<size_t> chosen = spread_sample(files.size(), options.nab_files);
  for (size_t i = 0; i < chosen.size(); ++i) {
    QW_ASSIGN(schema::EventBatch events, read_nab(files[chosen[i]]));
    QW_ASSIGN(Scenario scenario,
              scenario_of_events(nab_view(), {{"jump", "value - metric.recent_1h_2"}},
                                 std::move(events), 3'600'000'000));
    scenario.name = std::filesystem::path(files[chosen[i]]).stem().string().substr(0, 24);
    QW_TRY(compare_scenario(scenario, options, report));
    if (options.progress) options.progress(i + 1, chosen.size(), "NAB files");
  }
  return {};
}

}  // namespace

Result<void> compare_scenario(const Scenario& scenario, const ParityOptions& options,
                              ParityReport& report) {
  const Answers stream = answer_by_stream(scenario);
  const schema::Batch inputs = inputs_of(scenario, stream);
  QW_ASSIGN(const Answers sql, answer_by_duckdb(scenario, inputs, options.duckdb));
  compare_answers(scenario, stream, sql, "duckdb", {}, report);
  const std::vector<size_t> sample = spread_sample(scenario.reads.size(), options.oracle_reads);
  if (sample.empty()) return {};
  const auto oracle = answer_by_oracle(scenario, inputs, sample);
  if (oracle)
    compare_answers(scenario, stream, *oracle, "oracle", sample, report);
  else if (oracle.error().code == ErrorCode::kUnsupported)
    report.notes.push_back(scenario.name + ": " + oracle.error().message);
  else
    return oracle.error();
  return {};
}

Result<ParityReport> run_parity(const ParityOptions& options) {
  ParityReport report;
  QW_ASSIGN(const Scenario fixture, make_fixture(options.seed, options.fixture_events));
  QW_TRY(compare_scenario(fixture, options, report));
  QW_TRY(run_nab(options, report));
  QW_TRY(run_random(options, report));
  return report;
}

Result<Scenario> scenario_of_events(const ViewDefinition& view,
                                    const std::vector<DeriveDefinition>& derived,
                                    schema::EventBatch events, int64_t allowed_lateness_us,
                                    const std::vector<ViewDefinition>& also) {
  QW_ASSIGN(Scenario scenario,
            make_scenario(view, derived, events.rows.schema_ptr(), allowed_lateness_us, also));
  scenario.events = std::move(events);
  Arrivals arrivals;
  for (size_t e = 0; e < scenario.events.facts.size(); ++e) {
    arrivals.take(scenario.events.facts[e]);
    read_at(scenario, e, arrivals.known());
  }
  return scenario;
}

// Halves first, then single pieces, as long as the difference stays.
Result<Scenario> shrink(const Scenario& scenario, const ParityOptions& options) {
  if (!differs(scenario, options))
    return Error{ErrorCode::kBadInput, scenario.name + " does not differ", "", ""};
  Scenario best = scenario;
  for (const bool reads : {true, false}) {
    size_t piece = reads ? best.reads.size() : best.events.facts.size();
    for (; piece > 0; piece /= 2) {
      for (size_t begin = 0;;) {
        std::vector<bool> events(best.events.facts.size(), true);
        std::vector<bool> kept_reads(best.reads.size(), true);
        std::vector<bool>& target = reads ? kept_reads : events;
        if (begin >= target.size()) break;
        for (size_t i = begin; i < std::min(begin + piece, target.size()); ++i) target[i] = false;
        Scenario smaller = reduced(best, events, kept_reads);
        if (differs(smaller, options))
          best = std::move(smaller);
        else
          begin += piece;
      }
    }
  }
  best.name += ", shrunk";
  return best;
}

}  // namespace qw::features
