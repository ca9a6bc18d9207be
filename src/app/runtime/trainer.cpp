#include "app/runtime/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/nice.h"
#include "models/lineage.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

constexpr const char* kProgramEnded = "the program ended";

store::TrainingBody body_of(const TrainingStatus& run) {
  store::TrainingBody body;
  body.run_id = run.run_id;
  body.model = run.model;
  body.state = run.state;
  body.trigger = run.trigger;
  body.reason = run.reason;
  body.trials_done = run.trials_done;
  body.trials_total = run.trials_total;
  body.started_us = run.started_us;
  body.ended_us = run.ended_us;
  body.message = run.message;
  body.training = run.training;
  body.again = run.again;
  body.best = run.best;
  if (run.version) body.version = std::to_string(*run.version);
  return body;
}

// What a journal record says of its run; nothing when it cannot be read.
std::optional<TrainingStatus> status_of(const schema::JournalRecord& record) {
  auto read = store::body_of<store::TrainingBody>(record);
  if (!read.ok()) return std::nullopt;
  store::TrainingBody& body = *read;
  TrainingStatus run;
  run.run_id = std::move(body.run_id);
  run.model = std::move(body.model);
  run.state = std::move(body.state);
  run.trigger = std::move(body.trigger);
  run.reason = std::move(body.reason);
  run.trials_done = body.trials_done;
  run.trials_total = body.trials_total;
  run.started_us = body.started_us.value_or(record.at_us);
  run.ended_us = body.ended_us;
  run.message = std::move(body.message);
  run.training = std::move(body.training);
  run.again = body.again;
  run.best = body.best;
  if (!body.version) return run;
  int64_t number = 0;
  const char* const end = body.version->data() + body.version->size();
  const auto parsed = std::from_chars(body.version->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  run.version = number;
  return run;
}

}  // namespace

Trainer::Trainer(std::shared_ptr<const Plan> plan, const store::Store& store,
                 std::string registry_folder, store::Lane& lane, store::Journal& journal,
                 const Clock& clock, Options options, std::function<void()> on_published)
    : plan_(std::move(plan)),
      store_(store),
      registry_folder_(std::move(registry_folder)),
      lane_(lane),
      journal_(journal),
      clock_(clock),
      options_(options),
      on_published_(std::move(on_published)) {}

Trainer::~Trainer() { stop(); }

void Trainer::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Trainer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Result<TrainingStatus> Trainer::request(const std::string& model, const std::string& trigger,
                                        const std::string& reason, const std::string& training,
                                        std::function<void()> durable) {
  QW_ASSIGN(const size_t index, trainable_model(*plan_, model));
  TrainingStatus wanted;
  wanted.trigger = trigger;
  wanted.reason = reason;
  wanted.training = training;
  const std::lock_guard lock(mutex_);
  return ask(index, std::move(wanted), std::move(durable));
}

Result<TrainingStatus> Trainer::ask(size_t index, TrainingStatus status,
                                    std::function<void()> durable) {
  if (stopping_)
    return Error{ErrorCode::kUnavailable, "the application is stopping", plan_->models[index].name,
                 "ask again once it runs"};
  if (busy_)
    return Error{ErrorCode::kConflict, "a training is under way", plan_->models[index].name,
                 "wait until it is over"};
  TrainingWish wish = training_wish(*plan_, index, status.training);
  wish.sources.rows_max = options_.rows_max;
  wish.trigger = status.trigger;
  wish.reason = status.reason;
  status.started_us = clock_.wall_us();
  wish.run_id = status.run_id = fmt::format("run-{}", status.started_us);
  // A JSON reader's int64 holds it.
  wish.seed = options_.seed != 0 ? options_.seed : checksum64(wish.run_id) >> 1;
  status.model = plan_->models[index].name;
  status.state = "queued";
  status.trials_total = wish.trials;
  runs_.insert(runs_.begin(), status);
  keep_newest(runs_);
  busy_ = true;
  wanted_ = std::move(wish);
  tell(status, "started", fmt::format("Training of '{}' begins", status.model), std::move(durable));
  wake_.notify_one();
  return status;
}

void Trainer::keep_newest(std::vector<TrainingStatus>& runs) const {
  std::map<std::string, size_t> kept;
  std::erase_if(runs,
                [&](const TrainingStatus& one) { return ++kept[one.model] > options_.runs_kept; });
}

// Runs of before, behind those asked for since the start.
Result<void> Trainer::recover(const std::stop_token& stop) {
  std::vector<TrainingStatus> before;  // newest first
  std::set<std::string> told;          // runs whose version the journal has
  QW_TRY(store::History(store_).scan(
      store::Log::kJournal, store::kJournalPartition, Seq{}, Seq{~0ull},
      [&](Seq, std::string_view bytes) {
        const auto record = schema::decode_journal(bytes);
        if (!record.ok()) return true;
        if (store::is_a<store::ModelBody>(*record)) {
          const auto body = store::body_of<store::ModelBody>(*record);
          if (body.ok() && body->run_id) told.insert(*body->run_id);
        }
        if (!store::is_a<store::TrainingBody>(*record)) return true;
        auto run = status_of(*record);
        if (!run) return true;
        std::erase_if(before, [&](const TrainingStatus& one) { return one.run_id == run->run_id; });
        before.insert(before.begin(), std::move(*run));
        keep_newest(before);
        return !stop.stop_requested();
      }));
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(before, [&](const TrainingStatus& one) {
      return std::ranges::find(runs_, one.run_id, &TrainingStatus::run_id) != runs_.end();
    });
  }
  for (TrainingStatus& run : before)
    if (run.state == "queued" || run.state == "running") QW_TRY(end_interrupted(run, told));
  const std::lock_guard lock(mutex_);
  runs_.insert(runs_.end(), before.begin(), before.end());
  keep_newest(runs_);
  return {};
}

// The program ended while it was under way: before it made a version, or after.
Result<void> Trainer::end_interrupted(TrainingStatus& run, const std::set<std::string>& told) {
  QW_ASSIGN(const auto registry, models::Registry::open(registry_folder_));
  const auto model = std::ranges::find(plan_->models, run.model, &PlanModel::name);
  run.state = "failed";
  run.message = kProgramEnded;
  run.ended_us = clock_.wall_us();
  if (model != plan_->models.end() && !model->registry_name.empty()) {
    QW_ASSIGN(const auto versions, registry->versions(model->registry_name));
    const auto made = std::ranges::find_if(versions, [&](const models::VersionInfo& one) {
      return models::lineage_facts(one.lineage).run_id == run.run_id;
    });
    if (made != versions.end()) {
      const bool refused = made->state == models::VersionState::kRefused;
      run.state = refused ? "refused" : "published";
      run.message = refused ? made->reason : "";
      run.version = made->version;
      if (!told.contains(run.run_id)) tell_version(*made, run.model, run.run_id);
    }
  }
  tell_end(run);
  return {};
}

// Of each model the newest run, where drift had asked for it and the program ended first.
void Trainer::ask_again() {
  const std::lock_guard lock(mutex_);
  for (size_t model = 0; model < plan_->models.size() && !busy_; ++model) {
    const auto newest = std::find_if(runs_.begin(), runs_.end(), [&](const TrainingStatus& run) {
      return run.model == plan_->models[model].name;
    });
    if (newest == runs_.end() || newest->message != kProgramEnded || newest->again ||
        newest->trigger != "drift" || !plan_->models[model].engine)
      continue;
    TrainingStatus wanted;
    wanted.trigger = newest->trigger;
    wanted.reason = newest->reason;
    wanted.training = newest->training;
    wanted.again = true;
    if (const auto asked = ask(model, std::move(wanted), {}); !asked.ok())
      log::info("train", "not asked again: {}", asked.error().message);
  }
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
  const std::stop_callback hurry(stop, [self = this_thread()] { be_ordinary(self); });
  if (const auto recovered = guarded("train", [&] { return recover(stop); }); !recovered.ok())
    log::warning("train", "runs of before are not shown: {}", recovered.error().to_string());
  ask_again();
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
TrainingStatus Trainer::change(const std::function<void(TrainingStatus&)>& edit) {
  const std::lock_guard lock(mutex_);
  edit(runs_.front());
  return runs_.front();
}

void Trainer::train(const TrainingWish& wish, const std::stop_token& stop) {
  change([](TrainingStatus& run) { run.state = "running"; });
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
  const auto report = registry.ok() ? guarded("train",
                                              [&] {
                                                return run_training(&store_, **registry, *plan_,
                                                                    wish, clock_, pace, progress);
                                              })
                                    : Result<TrainingReport>(registry.error());
  const bool done = report.ok();
  const bool accepted = done && report->outcome.accepted;
  const bool few_labels = !done && report.error().where == "labels";
  const char* const state = accepted ? "published" : done || few_labels ? "refused" : "failed";
  const std::string message = accepted                               ? ""
                              : done                                 ? report->outcome.refusal
                              : !few_labels && stop.stop_requested() ? kProgramEnded
                                                                     : report.error().message;
  const TrainingStatus ended = change([&](TrainingStatus& run) {
    run.state = state;
    run.message = message;
    run.ended_us = clock_.wall_us();
    if (done) run.version = report->version.version;
  });
  if (done) tell_version(report->version, ended.model, wish.run_id);
  tell_end(ended);
  if (accepted) on_published_();
}

void Trainer::tell_end(const TrainingStatus& run) {
  const bool published = run.state == "published";
  tell(run, published ? "finished" : run.state.c_str(),
       published
           ? fmt::format("Training of '{}' made version {}", run.model, run.version.value_or(0))
           : fmt::format("Training of '{}' made no new version", run.model),
       {});
}

void Trainer::tell(const TrainingStatus& run, const char* phase, const std::string& title,
                   std::function<void()> durable) {
  const std::string& detail = run.ended_us > 0 ? run.message : run.reason;
  log::info("train", "{}{}{}", title, detail.empty() ? "" : ": ", detail);
  store::TrainingBody body = body_of(run);
  body.phase = phase;
  body.title = title;
  body.detail = detail;
  const auto held = lane_.hold();
  journal_.append(lane_.open(), body);
  if (durable) lane_.open().then.push_back(std::move(durable));
}

void Trainer::tell_version(const models::VersionInfo& version, const std::string& model,
                           const std::string& run_id) {
  const std::string number = std::to_string(version.version);
  const bool refused = version.state == models::VersionState::kRefused;
  const auto held = lane_.hold();
  store::ModelBody body;
  body.phase = refused ? "refused" : "published";
  body.model = model;
  body.version = number;
  body.run_id = run_id;
  body.title = fmt::format("Version {} of '{}' is {}", number, model, body.phase);
  body.detail = version.reason;
  journal_.append(lane_.open(), body);
}

}  // namespace qw::app
