#include "serve/rollout.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/fail_point.h"
#include "base/guard.h"
#include "base/log.h"
#include "models/lineage.h"
#include "serve/open_version.h"
#include "serve/scoring_version.h"
#include "store/commit/meta_names.h"

namespace qw::serve {
namespace {

using models::VersionState;

constexpr size_t kReplayed = 4096;  // records left when what is new begins to be put aside
constexpr size_t kDrained = 64;     // observations left to learn under the lock ...
constexpr int kDrains = 50;         // ... or what is left after so many rounds
constexpr size_t kTriedOn = 1000;   // decisions of a stream that are scored before it serves
constexpr int kTries = 5;           // of reaching the present before a version fails

bool waits(VersionState state) {
  return state == VersionState::kPublished || state == VersionState::kWarming ||
         state == VersionState::kWarmed;
}

}  // namespace

Rollout::Rollout(std::vector<ServedModel> models, store::Store& store, std::string registry_folder,
                 store::Lane& lane, store::Journal& journal, const Clock& clock, Options options,
                 Prepare prepare)
    : models_(std::move(models)),
      store_(store),
      registry_folder_(std::move(registry_folder)),
      lane_(lane),
      journal_(journal),
      clock_(clock),
      options_(std::move(options)),
      prepare_(std::move(prepare)) {}

Result<void> Rollout::before(std::string_view step) const {
  if (options_.before) return options_.before(step);
  return {};
}

Rollout::~Rollout() { stop(); }

void Rollout::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Rollout::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Rollout::wake() {
  {
    const std::lock_guard lock(wake_mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

Result<RollbackAsked> Rollout::roll_back(size_t model, const std::string& reason) {
  // A handle of its own: the thread's is its alone.
  QW_ASSIGN(const auto registry, models::Registry::open(registry_folder_));
  QW_ASSIGN(const RollbackAsked asked,
            ask_rollback(*models_[model].plan, *registry, reason, clock_.wall_us()));
  wake();
  return asked;
}

void Rollout::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (const auto looked = guarded("rollout", [&] { return look(stop); });
        !looked.ok() && !stop.stop_requested())
      log::warning("rollout", "{}", looked.error().to_string());
    std::unique_lock lock(wake_mutex_);
    wake_.wait_for(lock, stop, std::chrono::microseconds(options_.poll_us),
                   [this] { return woken_; });
    woken_ = false;
  }
}

Result<void> Rollout::look(const std::stop_token& stop) {
  if (!registry_) {
    QW_ASSIGN(registry_, models::Registry::open(registry_folder_));
  }
  for (size_t model = 0; model < models_.size(); ++model) {
    if (models_[model].plan->registry_name.empty() || models_[model].plan->pinned) continue;
    const auto looked = look_at(model, stop);
    if (looked.ok()) continue;
    if (stop.stop_requested()) return looked;
    log::warning("rollout", "{}: {}", models_[model].plan->name, looked.error().to_string());
  }
  return {};
}

// What serves is on its way back, or else the newest version that waits to be taken into service.
Result<void> Rollout::look_at(size_t model, const std::stop_token& stop) {
  const ModelPlan& planned = *models_[model].plan;
  QW_ASSIGN(const int64_t serving, serving_version(&store_, *registry_, planned));
  // A crash, or a locked registry, between a swap and its note there: the store knows better.
  QW_ASSIGN(const auto champion, registry_->alias(planned.registry_name, "champion"));
  if (champion.value_or(0) != serving)
    QW_TRY(registry_->promote(planned.registry_name, serving, clock_.wall_us()));
  QW_ASSIGN(const auto versions, registry_->versions(planned.registry_name));
  for (const models::VersionInfo& info : versions)
    if (info.version == serving && info.state == VersionState::kRollingBack)
      return roll_out({model, info.parent, serving, true, info.reason}, stop);
  for (const models::VersionInfo& info : versions) {
    if (!waits(info.state) || info.version == serving) continue;
    if (models::lineage_facts(info.lineage).then != "swap") continue;
    if (info.parent != serving)
      return set_state({model, info.version, serving, false, ""}, VersionState::kRefused,
                       fmt::format("Version {} of '{}' is refused", info.version, planned.name),
                       fmt::format("it was compared with version {}, but version {} serves",
                                   info.parent, serving));
    return roll_out({model, info.version, serving, false, ""}, stop);
  }
  return {};
}

std::string Rollout::name_of(const Change& change) const {
  return fmt::format("Version {} of '{}'", change.version, plan_of(change).name);
}

Result<void> Rollout::roll_out(const Change& change, const std::stop_token& stop) {
  const ModelPlan& planned = plan_of(change);
  const auto engine = load_version(*registry_, planned, change.version);
  if (!engine.ok())
    return set_state(change, VersionState::kFailed, name_of(change) + " cannot be loaded",
                     engine.error().to_string());
  QW_TRY(set_state(change, VersionState::kWarming, name_of(change) + " warms up", change.reason));
  fail_point("swap.warming");
  const auto* const scoring = std::get_if<std::shared_ptr<const models::ScoringEngine>>(&*engine);
  const Result<void> warmed =
      scoring != nullptr
          ? try_on(change, *scoring, stop)
          : let_learn(change, std::get<std::shared_ptr<const models::LearningEngine>>(*engine),
                      stop);
  if (!warmed.ok() && stop.stop_requested()) return warmed;
  if (!warmed.ok())
    return set_state(change, VersionState::kFailed, name_of(change) + " cannot warm up",
                     warmed.error().to_string());
  // It is installed and learns with each event: whatever the registry says, there is no second
  // warm-up of it. What cannot be noted now is known there once it serves.
  if (const auto noted = set_state(change, VersionState::kWarmed, name_of(change) + " is warm", "");
      !noted.ok())
    log::warning("rollout", "{} is warm, which the registry does not take: {}", name_of(change),
                 noted.error().to_string());
  fail_point("swap.warmed");
  if (prepare_) prepare_(change.model, change.version);
  return swap(change, stop);
}

// A version that learns is brought up to the present.
Result<void> Rollout::let_learn(const Change& change,
                                const std::shared_ptr<const models::LearningEngine>& engine,
                                const std::stop_token& stop) {
  Warming warming;
  for (ModelSlot* slot : models_[change.model].slots)
    warming.push_back(
        std::make_unique<WarmUp>(store_, lane_, *slot, change.version, engine, clock_));
  show(change, warming);
  struct Hides {
    Rollout& rollout;
    ~Hides() { rollout.show_nothing(); }
  } const hides{*this};
  Result<void> warmed;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    warmed = warm(warming, stop);
    if (warmed.ok() || warmed.error().code != ErrorCode::kExhausted) break;
  }
  if (!warmed.ok() && !stop.stop_requested()) give_up(warming);
  return warmed;
}

// A version that keeps nothing is warm once it has scored what was decided last.
Result<void> Rollout::try_on(const Change& change,
                             const std::shared_ptr<const models::ScoringEngine>& engine,
                             const std::stop_token& stop) {
  std::vector<std::unique_ptr<ScoringVersion>> versions;
  for (ModelSlot* slot : models_[change.model].slots) {
    QW_ASSIGN(auto version, ScoringVersion::make(slot->options(), change.version, engine));
    std::map<PartitionId, Seq> streams;
    {
      const auto held = lane_.hold();
      streams = slot->streams();
    }
    for (const auto& [stream, last] : streams) {
      if (stop.stop_requested())
        return Error{ErrorCode::kUnavailable, "the application is stopping", "warm-up", ""};
      QW_TRY(version->try_on(store_, stream, last, kTriedOn));
    }
    versions.push_back(std::move(version));
  }
  const auto held = lane_.hold();
  QW_TRY(before("finish"));
  for (size_t index = 0; index < versions.size(); ++index)
    models_[change.model].slots[index]->install_challenger(std::move(versions[index]));
  return {};
}

void Rollout::show(const Change& change, const Warming& warming) {
  const std::lock_guard lock(progress_mutex_);
  shown_ = {change.model, change.version, 0};
  shown_warming_ = &warming;
}

void Rollout::show_nothing() {
  const std::lock_guard lock(progress_mutex_);
  shown_warming_ = nullptr;
}

std::optional<WarmProgress> Rollout::progress() const {
  const std::lock_guard lock(progress_mutex_);
  if (shown_warming_ == nullptr) return std::nullopt;
  uint64_t read = 0, known = 0;
  for (const auto& one : *shown_warming_) {
    const auto [of_one, known_to_one] = one->progress();
    read += std::min(of_one, known_to_one);
    known += known_to_one;
  }
  WarmProgress now = shown_;
  now.share = known == 0 ? 0 : static_cast<double>(read) / static_cast<double>(known);
  return now;
}

// From whatever was learned to installed beside the champion, up to the last event.
Result<void> Rollout::warm(Warming& warming, const std::stop_token& stop) {
  for (const auto& one : warming)
    for (size_t left = kReplayed; left >= kReplayed;) {
      QW_ASSIGN(left, one->replay(stop));
    }
  {
    const auto held = lane_.hold();
    for (const auto& one : warming) one->tap();
  }
  fail_point("swap.tapped");
  QW_TRY(bridge(warming, stop));
  return install(warming);
}

Result<void> Rollout::bridge(Warming& warming, const std::stop_token& stop) {
  QW_TRY(lane_.wait_durable(stop));
  for (const auto& one : warming) QW_TRY(one->bridge(stop));
  for (const auto& one : warming) {
    size_t left = kDrained;
    for (int round = 0; round < kDrains && left >= kDrained; ++round) {
      QW_ASSIGN(left, one->drain());
    }
  }
  return {};
}

// All of them or, when one of them fails, none.
Result<void> Rollout::install(Warming& warming) {
  const auto held = lane_.hold();
  for (const auto& one : warming) {
    QW_TRY(before("finish"));
    QW_TRY(one->finish());
  }
  for (const auto& one : warming) one->slot().install_challenger(one->take());
  return {};
}

// Nothing of a version that will not serve is left behind.
void Rollout::give_up(Warming& warming) {
  const auto held = lane_.hold();
  for (const auto& one : warming) one->slot().erase(one->version());
}

Result<void> Rollout::swap(const Change& change, const std::stop_token& stop) {
  const ModelPlan& planned = plan_of(change);
  std::vector<std::unique_ptr<ServedVersion>> old;
  {
    auto held = lane_.hold();
    store::PendingCommit& open = held.open();
    for (ModelSlot* slot : models_[change.model].slots) {
      old.push_back(slot->swap_challenger());
      if (old.back()) slot->erase(*old.back());
    }
    open.txn.put_meta(store::meta::serving(planned.registry_name), std::to_string(change.version));
    open.need(store::Durability::kMachine);
    if (change.back)
      tell(open, change.model, change.before, "rolled_back",
           fmt::format("Version {} of '{}' is rolled back", change.before, planned.name),
           fmt::format("version {} serves again: {}", change.version, change.reason));
    else
      tell(open, change.model, change.version, "swapped",
           fmt::format("Version {} of '{}' serves", change.version, planned.name),
           change.before == 0 && !planned.engine
               ? "it is the first"
               : fmt::format("it took the place of version {}", change.before));
  }
  fail_point("swap.done");
  QW_TRY(lane_.wait_durable(stop));
  fail_point("swap.durable");
  return registry_->promote(planned.registry_name, change.version, clock_.wall_us());
}

void Rollout::tell(store::PendingCommit& open, size_t model, int64_t version, const char* phase,
                   const std::string& title, const std::string& detail) {
  journal_.append(open, store::ModelBody{phase, models_[model].plan->name, std::to_string(version),
                                         std::nullopt, title, detail});
  log::info("rollout", "{}{}{}", title, detail.empty() ? "" : ": ", detail);
}

// The registry and the journal. What comes back in a rollback stays `previous` until it serves; a
// rollback that cannot be is over.
Result<void> Rollout::set_state(const Change& change, VersionState state, const std::string& title,
                                const std::string& reason) {
  const std::string& name = plan_of(change).registry_name;
  QW_TRY(before(models::name_of(state)));
  if (!change.back)
    QW_TRY(registry_->set_state(name, change.version, state, reason, clock_.wall_us()));
  else if (state == VersionState::kFailed)
    QW_TRY(registry_->set_state(name, change.before, VersionState::kChampion,
                                "not rolled back: " + reason, clock_.wall_us()));
  const auto held = lane_.hold();
  tell(lane_.open(), change.model, change.version, std::string(models::name_of(state)).c_str(),
       title, reason);
  return {};
}

}  // namespace qw::serve
