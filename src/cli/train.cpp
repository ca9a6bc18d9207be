// `quickwater train`: searches better settings for a model and publishes them, or says why not.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/runtime/training_run.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "models/lineage.h"

namespace qw::cli {
namespace {

using nlohmann::json;

struct Arguments {
  std::string file = "app.yaml";
  std::string data;
  std::string model;
  std::string training;
  std::string nab;
  std::string reason;
  int64_t trials = 0;
  int64_t seconds = 0;
  uint64_t seed = 1;
  bool publish_only = false;
  bool json = false;
};

app::TrainingWish wish_of(const Arguments& arguments, const app::Plan& plan, size_t model) {
  app::TrainingWish wish = app::training_wish(plan, model, arguments.training);
  wish.trigger = "command";
  wish.reason = arguments.reason;
  wish.run_id = fmt::format("run-{}", real_clock().wall_us());
  wish.seed = arguments.seed;
  if (arguments.trials > 0) wish.trials = static_cast<size_t>(arguments.trials);
  if (arguments.seconds > 0) wish.seconds_max = arguments.seconds;
  if (arguments.publish_only) wish.then = "publish";
  // A folder named here is the whole truth: it can be used while the program runs.
  if (!arguments.nab.empty()) {
    wish.nab_folder = arguments.nab;
    wish.sources.verdicts = wish.sources.incidents = false;
  }
  return wish;
}

json json_of(const train::Verdict& verdict) {
  return {{"score", verdict.score},
          {"threshold", verdict.threshold},
          {"labels", verdict.labels},
          {"found", verdict.found},
          {"false_alarms", verdict.false_alarms}};
}

json json_of(const app::TrainingReport& report) {
  const train::SearchOutcome& outcome = report.outcome;
  return {{"model", report.version.model},
          {"run_id", models::lineage_facts(report.version.lineage).run_id},
          {"version", report.version.version},
          {"state", models::name_of(report.version.state)},
          {"reason", report.version.reason},
          {"champion", report.champion},
          {"trials", outcome.trials},
          {"labels", report.labels.total},
          {"held_out", json_of(outcome.held_out)},
          {"held_out_champion", json_of(outcome.champion_held_out)},
          {"searched", json_of(outcome.search)},
          {"searched_champion", json_of(outcome.champion_search)}};
}

std::string row_of(std::string_view name, int64_t version, const train::Verdict& searched,
                   const train::Verdict& held_out) {
  return fmt::format("{:<10}{:>8}{:>16.2f}{:>16.2f}{:>12}{:>14}{:>12.3f}\n", name,
                     fmt::format("@{}", version), searched.score, held_out.score,
                     fmt::format("{}/{}", held_out.found, held_out.labels), held_out.false_alarms,
                     held_out.threshold);
}

std::string text_of(const app::TrainingReport& report, const app::TrainingWish& wish) {
  const train::SearchOutcome& outcome = report.outcome;
  const models::VersionInfo& version = report.version;
  std::string out = fmt::format(
      "{}: {} labels ({} real, {} false alarms), {} of the real ones held out; {} "
      "trials, seed {}\n\n",
      version.model, report.labels.total, report.labels.real, report.labels.false_alarms,
      report.labels_held_out, outcome.trials, wish.seed);
  out += fmt::format("{:<10}{:>8}{:>16}{:>16}{:>12}{:>14}{:>12}\n", "", "version", "searched part",
                     "held-out part", "found", "false alarms", "threshold");
  out += row_of("champion", report.champion, outcome.champion_search, outcome.champion_held_out);
  out += row_of("candidate", version.version, outcome.search, outcome.held_out);
  if (!outcome.accepted)
    return out + fmt::format("\nrefused: {}\nkept as version {} for the record; nothing changes\n",
                             outcome.refusal, version.version);
  out += fmt::format("\npublished version {}", version.version);
  return out + (wish.then == "swap"
                    ? ": a running program warms it up and swaps, a stopped one at its next start\n"
                    : ": it is in the registry and serves nothing\n");
}

Result<app::TrainingReport> train(const app::Plan& plan, const app::TrainingWish& wish,
                                  const std::string& data_folder, Io io) {
  MetricRegistry metrics;
  std::unique_ptr<store::Store> store;
  if (wish.sources.verdicts || wish.sources.incidents) {
    store::StoreOptions options;
    options.folder = data_folder;
    auto opened = store::Store::open(options, metrics);
    if (!opened.ok()) {
      Error error = opened.error();
      if (error.code == ErrorCode::kConflict)
        error.how_to_mend =
            "stop the program first, ask it to retrain on its page, or name labels with --nab";
      return error;
    }
    store = std::move(opened).value();
  }
  QW_ASSIGN(const auto registry, models::Registry::open(data_folder));
  train::Pace pace;
  pace.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  size_t told = 0;
  Progress bar("training", wish.trials);
  return app::run_training(store.get(), *registry, plan, wish, real_clock(), pace,
                           [&](const train::SearchProgress& progress) {
                             bar.at(progress.done);
                             if (progress.done * 10 / progress.total == told) return;
                             told = progress.done * 10 / progress.total;
                             io.err << fmt::format("trial {} of {}, best {:.2f}\n", progress.done,
                                                   progress.total, progress.best);
                           });
}

int run_train(const Arguments& arguments, const app::Plan& plan, Io io) {
  const auto model = app::trainable_model(plan, arguments.model);
  if (!model.ok()) return say(io, model.error());
  const app::TrainingWish wish = wish_of(arguments, plan, *model);
  const std::string folder =
      arguments.data.empty() ? plan.file.resolve(plan.file.data) : arguments.data;
  const auto report = train(plan, wish, folder, io);
  if (!report.ok()) return say(io, report.error());
  if (arguments.json)
    io.out << json_of(*report).dump(2) << '\n';
  else
    io.out << text_of(*report, wish);
  return report->outcome.accepted ? kOk : kFailed;
}

}  // namespace

Run declare_train(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_file_argument(command, arguments->file);
  command.add_option("--model", arguments->model,
                     "the model to train; may be left out when only one has a detector");
  command.add_option("--training", arguments->training,
                     "the entry of `training` to use; the model's first when left out");
  command.add_option("--nab", arguments->nab,
                     "a labelled folder in NAB's layout, in place of the entry's `labels`; works "
                     "while the application runs");
  command.add_option("--data", arguments->data, "the data folder, in place of the file's `data`");
  command.add_option("--trials", arguments->trials, "most settings tried, in place of the entry's")
      ->check(CLI::Range(1, 10000));
  command
      .add_option("--seconds", arguments->seconds,
                  "longest search, in place of the entry's; a search that this ends cannot be "
                  "repeated exactly")
      ->check(CLI::Range(1, 86400));
  command.add_option("--seed", arguments->seed, "of the search; equal seeds give equal versions");
  command.add_option("--reason", arguments->reason, "kept in the version's lineage");
  command.add_flag("--publish-only", arguments->publish_only,
                   "into the registry only: nothing warms it up or swaps");
  command.add_flag("--json", arguments->json, "the result as one JSON object");
  return [arguments](Io io) {
    const auto plan = load_or_say(arguments->file, io);
    return plan == nullptr ? kBadAppFile : run_train(*arguments, *plan, io);
  };
}

}  // namespace qw::cli
