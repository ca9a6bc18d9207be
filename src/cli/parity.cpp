// `quickwater parity`: measures whether the stream executor, generated SQL and the naive oracle
// give the same features.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "app/parity/app_parity.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

using features::ParityReport;

struct Arguments {
  std::string file;
  std::string data;
  std::string nab;
  bool fixture = false;
  bool json = false;
  uint64_t seed = 1;
  size_t events = 5'000;
  size_t random = 60;
};

Result<void> compare_own(const Arguments& arguments, ParityReport& report) {
  features::ParityOptions options;
  options.seed = arguments.seed;
  options.fixture_events = arguments.events;
  options.random_scenarios = arguments.fixture ? 0 : arguments.random;
  options.nab_folder = arguments.nab;
  QW_ASSIGN(report, features::run_parity(options));
  return {};
}

Result<void> compare_history(const app::Plan& plan, const Arguments& arguments,
                             const app::AppParityOptions& options, ParityReport& report) {
  store::StoreOptions store_options;
  store_options.folder =
      arguments.data.empty() ? plan.file.resolve(plan.file.data) : arguments.data;
  // Opening would make the folder.
  if (!std::filesystem::exists(store_options.folder)) {
    report.notes.push_back(
        fmt::format("no history was compared: there is no folder {}", store_options.folder));
    return {};
  }
  MetricRegistry metrics;
  QW_ASSIGN(const auto store, store::Store::open(store_options, metrics));
  QW_TRY(app::parity_of_history(plan, *store, options, report));
  return app::parity_of_segments(plan, *store, options, report);
}

Result<void> compare_app(const app::Plan& plan, const Arguments& arguments, ParityReport& report) {
  app::AppParityOptions options;
  options.compare.seed = arguments.seed;
  options.events = arguments.events;
  QW_TRY(app::parity_of_generated(plan, options, report));
  if (arguments.fixture) return {};
  return compare_history(plan, arguments, options, report);
}

int compare(const Arguments& arguments, Io io) {
  ParityReport report;
  const Progress progress("comparing");
  Result<void> done;
  if (arguments.file.empty()) {
    done = compare_own(arguments, report);
  } else {
    const auto plan = load_or_say(arguments.file, io);
    if (plan == nullptr) return kBadAppFile;
    done = compare_app(*plan, arguments, report);
  }
  if (!done.ok()) return say(io, done.error());
  io.out << (arguments.json ? report.to_json() + "\n" : report.to_text());
  if (report.outside() == 0) return kOk;
  io.err << fmt::format("quickwater parity: {} of {} rows are outside their class\n",
                        report.outside(), report.rows());
  return kFailed;
}

}  // namespace

Run declare_parity(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("file", arguments->file,
                     "an application file: its own features over events made up for it and over "
                     "its history (of a stopped application); without one: a fixture of every "
                     "aggregate, and random definitions");
  command.add_flag("--fixture", arguments->fixture, "only events that are made up from the seed");
  command.add_option("--data", arguments->data,
                     "the data folder with the history, in place of the file's `data`");
  command
      .add_option("--nab", arguments->nab,
                  "without a file: also the Numenta Anomaly Benchmark's data files below this "
                  "folder")
      ->excludes("file");
  command.add_option("--seed", arguments->seed, "makes the events; the same seed, the same events");
  command
      .add_option("--events", arguments->events,
                  "how many are made up for each view; of a history, the newest of each source")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--random", arguments->random, "without a file: how many random definitions")
      ->check(CLI::Range(0, 1'000'000));
  command.add_flag("--json", arguments->json, "one JSON object in place of the table");
  return [arguments](Io io) { return compare(*arguments, io); };
}

}  // namespace qw::cli
