#include "app/runtime/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/log.h"
#include "base/nice.h"

namespace qw::app {

Trainer::Trainer(std::shared_ptr<const Plan> plan, const store::Store& store,
                 std::string registry_folder, Committer& committer, Journal& journal,
                 const Clock& clock, Options options, std::function<void()> on_published)
    : plan_(std::move(plan)),
      store_(store),
      registry_folder_(std::move(registry_folder)),
      committer_(committer),
      journal_(journal),
      clock_(clock),
      options_(options),
      on_published_(std::move(on_published)) {}

Trainer::~Trainer() { stop(); }

void Trainer::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Trainer::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Result<TrainingStatus> Trainer::request(const std::string& model, const std::string& trigger,
                                        const std::string& reason, const std::string& training) {
  QW_ASSIGN(const size_t index, trainable_model(*plan_, model));
  const std::lock_guard lock(mutex_);
  if (busy_)
    return Error{ErrorCode::kConflict, "a training is under way", model, "wait until it is over"};
  TrainingWish wish = training_wish(*plan_, index, training);
  wish.sources.rows_max = options_.rows_max;
  wish.trigger = trigger;
  wish.reason = reason;
  TrainingStatus status;
  status.started_us = clock_.wall_us();
  wish.run_id = status.run_id = fmt::format("run-{}", status.started_us);
  wish.seed = checksum64(wish.run_id) >> 1;  // a JSON reader's int64 holds it
  status.model = plan_->models[index].name;
  status.state = "queued";
  status.trigger = trigger;
  status.reason = reason;
  status.trials_total = wish.trials;
  runs_.insert(runs_.begin(), status);
  size_t kept = 0;
  std::erase_if(runs_, [&](const TrainingStatus& one) {
    return one.model == status.model && ++kept > options_.runs_kept;
  });
  busy_ = true;
  wanted_ = std::move(wish);
  wake_.notify_one();
  return status;
}

Result<Trainer::Labels> Trainer::labels(const std::string& model) const {
  QW_ASSIGN(const size_t index, trainable_model(*plan_, model));
  const TrainingWish wish = training_wish(*plan_, index);
  Labels labels;
  QW_ASSIGN(labels.counts, read_label_counts(store_, *plan_, index, wish.sources));
  labels.needed = wish.nab_folder.empty() ? wish.labels_at_least : 0;
  return labels;
}

std::vector<TrainingStatus> Trainer::runs(const std::string& model) const {
  const std::lock_guard lock(mutex_);
  std::vector<TrainingStatus> of_model;
  std::copy_if(runs_.begin(), runs_.end(), std::back_inserter(of_model),
               [&](const TrainingStatus& run) { return run.model == model; });
  return of_model;
}

void Trainer::run(const std::stop_token& stop) {
  be_nice();
  while (true) {
    TrainingWish wish;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return wanted_.has_value(); })) return;
      wish = std::move(*wanted_);
      wanted_.reset();
    }
    train(wish, stop);
    const std::lock_guard lock(mutex_);
    busy_ = false;
  }
}

// The run under way is the newest.
void Trainer::change(const std::function<void(TrainingStatus&)>& edit) {
  const std::lock_guard lock(mutex_);
  edit(runs_.front());
}

void Trainer::train(const TrainingWish& wish, const std::stop_token& stop) {
  const std::string& model = plan_->models[wish.model].name;
  change([](TrainingStatus& run) { run.state = "running"; });
  tell(wish, "started", fmt::format("Training of '{}' begins", model), wish.reason);
  train::Pace pace;
  pace.stop = stop;
  int64_t since_ns = clock_.monotonic_ns();
  pace.breathe = [&] {
    const auto worked_us = static_cast<double>(clock_.monotonic_ns() - since_ns) / 1000;
    clock_.sleep_us(static_cast<int64_t>(worked_us * (1 / options_.share - 1)));
    since_ns = clock_.monotonic_ns();
  };
  const auto progress = [this](const train::SearchProgress& made) {
    change([&](TrainingStatus& run) {
      run.trials_done = made.done;
      run.best = made.best;
    });
  };
  auto registry = models::Registry::open(registry_folder_);
  const auto report = registry.ok()
                          ? run_training(&store_, **registry, *plan_, wish, clock_, pace, progress)
                          : Result<TrainingReport>(registry.error());
  const bool done = report.ok();
  const bool accepted = done && report->outcome.accepted;
  const bool few_labels = !done && report.error().where == "labels";
  const char* const state = accepted ? "published" : done || few_labels ? "refused" : "failed";
  const std::string message = accepted ? ""
                              : done   ? report->outcome.refusal
                                       : report.error().message;
  change([&](TrainingStatus& run) {
    run.state = state;
    run.message = message;
    run.ended_us = clock_.wall_us();
    if (done) run.version = report->version.version;
  });
  if (done) tell_version(report->version, wish);
  tell(wish, accepted ? "finished" : state,
       accepted ? fmt::format("Training of '{}' made version {}", model, report->version.version)
                : fmt::format("Training of '{}' made no new version", model),
       message, done ? std::optional(report->version.version) : std::nullopt);
  if (accepted) on_published_();
}

void Trainer::tell(const TrainingWish& wish, const char* phase, const std::string& title,
                   const std::string& detail, std::optional<int64_t> version) {
  log::info("train", "{}{}{}", title, detail.empty() ? "" : ": ", detail);
  nlohmann::json body = {{"phase", phase},        {"model", plan_->models[wish.model].name},
                         {"run_id", wish.run_id}, {"trigger", wish.trigger},
                         {"title", title},        {"detail", detail}};
  if (version) body["version"] = std::to_string(*version);
  const std::lock_guard lock(committer_.mutex());
  journal_.append(committer_.open(), "training", body);
}

void Trainer::tell_version(const models::VersionInfo& version, const TrainingWish& wish) {
  const std::string& model = plan_->models[wish.model].name;
  const std::string number = std::to_string(version.version);
  const bool refused = version.state == models::VersionState::kRefused;
  const std::lock_guard lock(committer_.mutex());
  journal_.append(committer_.open(), "model",
                  nlohmann::json{{"phase", refused ? "refused" : "published"},
                                 {"model", model},
                                 {"version", number},
                                 {"run_id", wish.run_id},
                                 {"title", fmt::format("Version {} of '{}' is {}", number, model,
                                                       refused ? "refused" : "published")},
                                 {"detail", version.reason}});
}

}  // namespace qw::app
