// Trains in the running program: one run at a time, on a thread of its own that takes what others
// leave.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "app/runtime/plan.h"
#include "app/runtime/training_run.h"
#include "base/env.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/store.h"

namespace qw::app {

// A training as the control API shows it. A value.
struct TrainingStatus {
  std::string run_id;
  std::string model;
  std::string state;    // queued, running, published, refused, failed
  std::string trigger;  // person, verdict, drift, schedule
  std::string reason;
  size_t trials_done = 0;
  size_t trials_total = 0;
  std::optional<double> best;  // on the searched part
  std::optional<int64_t> version;
  int64_t started_us = 0;
  int64_t ended_us = 0;  // 0: not yet
  std::string message;
  std::string training;  // the application file's entry; empty: the model's first
  bool again = false;    // drift asked before, and that run ended with the program
};

// Owns the thread. Runs are journalled (kind "training": started, then finished, refused or failed;
// kind "model": published, refused); those of before are read from there when the thread begins.
// One that was under way when the program ended has failed, unless the registry has its version.
// Drift asks only once for what it found,
// so that a run of its own is asked for again, once: a training that the program cannot survive
// must not come back for ever. Calls from any thread.
class Trainer {
 public:
  // A value. `rows_max`: see TrainingSources. `share`: of one core.
  struct Options {
    size_t rows_max = 400'000;
    double share = 0.5;
    size_t runs_kept = 20;  // of each model
    uint64_t seed = 0;      // of every search; 0: a run's own
  };
  // `on_published` is called on the training thread.
  Trainer(std::shared_ptr<const Plan> plan, const store::Store& store, std::string registry_folder,
          store::Lane& lane, store::Journal& journal, const Clock& clock, Options options,
          std::function<void()> on_published);
  ~Trainer();

  void start();
  // Ends a run between two series; it counts as failed. Before the committer stops.
  void stop();

  // Asks for a run and does not wait. `training`: an entry of the application file; empty: the
  // model's first. `durable` is called on the committer's thread once a crash cannot lose the wish.
  // kConflict: one runs or waits already; kNotFound: no such model; kUnavailable: stop().
  Result<TrainingStatus> request(const std::string& model, const std::string& trigger,
                                 const std::string& reason, const std::string& training = "",
                                 std::function<void()> durable = {});
  // How many labels the journal has for a model and how many of them are needed: none where a NAB
  // folder gives the labels. Reads the journal: not for a thread that must not wait.
  struct Labels {
    train::LabelCounts counts;
    size_t needed = 0;
  };
  Result<Labels> labels(const std::string& model) const;
  // Newest first.
  std::vector<TrainingStatus> runs(const std::string& model) const;

 private:
  // Under the mutex. kConflict: one runs or waits.
  Result<TrainingStatus> ask(size_t model, TrainingStatus wanted, std::function<void()> durable);
  Result<void> recover(const std::stop_token& stop);
  Result<void> end_interrupted(TrainingStatus& run, const std::set<std::string>& told);
  void ask_again();
  void keep_newest(std::vector<TrainingStatus>& runs) const;
  void run(const std::stop_token& stop);
  void train(const TrainingWish& wish, const std::stop_token& stop);
  TrainingStatus change(const std::function<void(TrainingStatus&)>& edit);
  void tell(const TrainingStatus& run, const char* phase, const std::string& title,
            std::function<void()> durable);
  void tell_end(const TrainingStatus& run);
  void tell_version(const models::VersionInfo& version, const std::string& model,
                    const std::string& run_id);

  const std::shared_ptr<const Plan> plan_;
  const store::Store& store_;
  const std::string registry_folder_;
  store::Lane& lane_;
  store::Journal& journal_;
  const Clock& clock_;
  const Options options_;
  const std::function<void()> on_published_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<TrainingWish> wanted_;
  bool busy_ = false;
  bool stopping_ = false;
  std::vector<TrainingStatus> runs_;  // newest first
  std::jthread thread_;
};

}  // namespace qw::app
