#include "app/runtime/rollout.h"

#include <fmt/format.h>

#include <chrono>
#include <future>
#include <nlohmann/json.hpp>

#include "app/runtime/training_run.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "models/load.h"
#include "train/publish.h"

namespace qw::app {
namespace {

using models::VersionState;

constexpr size_t kReplayed = 4096;  // records left when what is new begins to be put aside
constexpr size_t kDrained = 64;     // observations left to learn under the lock ...
constexpr int kDrains = 50;         // ... or what is left after so many rounds
constexpr int kTries = 5;           // of reaching the present before a version fails

bool waits(VersionState state) {
  return state == VersionState::kPublished || state == VersionState::kWarming ||
         state == VersionState::kWarmed;
}

}  // namespace

Rollout::Rollout(std::shared_ptr<const Plan> plan, store::Store& store, std::string registry_folder,
                 Committer& committer, Pipeline& pipeline, Journal& journal, const Clock& clock,
                 Options options)
    : plan_(std::move(plan)),
      store_(store),
      registry_folder_(std::move(registry_folder)),
      committer_(committer),
      pipeline_(pipeline),
      journal_(journal),
      clock_(clock),
      options_(options) {}

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

void Rollout::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (const auto looked = look(stop); !looked.ok() && !stop.stop_requested())
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
  for (size_t model = 0; model < plan_->models.size(); ++model) {
    if (!plan_->models[model].engine || pinned_version(plan_->models[model])) continue;
    QW_TRY(look_at(model, stop));
  }
  return {};
}

// The newest version that waits to be taken into service.
Result<void> Rollout::look_at(size_t model, const std::stop_token& stop) {
  const PlanModel& planned = plan_->models[model];
  QW_ASSIGN(const int64_t serving, serving_version(&store_, *registry_, planned));
  QW_ASSIGN(const auto versions, registry_->versions(planned.registry_name));
  for (const models::VersionInfo& info : versions) {
    if (!waits(info.state) || info.version == serving) continue;
    if (train::lineage_facts(info.lineage).then != "swap") continue;
    if (info.parent != serving)
      return set_state(model, info.version, VersionState::kRefused,
                       fmt::format("Version {} of '{}' is refused", info.version, planned.name),
                       fmt::format("it was compared with version {}, but version {} serves",
                                   info.parent, serving));
    return roll_out(model, info, serving, stop);
  }
  return {};
}

Result<void> Rollout::roll_out(size_t model, const models::VersionInfo& info, int64_t serving,
                               const std::stop_token& stop) {
  const PlanModel& planned = plan_->models[model];
  auto engine = models::load_engine(*registry_, planned.registry_name, info.version);
  if (!engine.ok())
    return set_state(model, info.version, VersionState::kFailed,
                     fmt::format("Version {} of '{}' cannot be loaded", info.version, planned.name),
                     engine.error().to_string());
  QW_TRY(set_state(model, info.version, VersionState::kWarming,
                   fmt::format("Version {} of '{}' warms up", info.version, planned.name), ""));
  fail_point("swap.warming");
  Warming warming;
  for (const size_t decision : decisions_of(model))
    warming.push_back(std::make_unique<WarmUp>(store_, committer_, pipeline_, decision,
                                               info.version, engine.value(), clock_));
  Result<void> warmed;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    warmed = warm(warming, stop);
    if (warmed.ok() || warmed.error().code != ErrorCode::kExhausted) break;
  }
  if (!warmed.ok() && stop.stop_requested()) return warmed;
  if (!warmed.ok()) {
    give_up(warming);
    return set_state(model, info.version, VersionState::kFailed,
                     fmt::format("Version {} of '{}' cannot warm up", info.version, planned.name),
                     warmed.error().to_string());
  }
  QW_TRY(set_state(model, info.version, VersionState::kWarmed,
                   fmt::format("Version {} of '{}' is warm", info.version, planned.name), ""));
  fail_point("swap.warmed");
  return swap(model, info, serving, stop);
}

// From whatever was learned to installed beside the champion, up to the last event.
Result<void> Rollout::warm(Warming& warming, const std::stop_token& stop) {
  for (const auto& one : warming)
    for (size_t left = kReplayed; left >= kReplayed;) {
      QW_ASSIGN(left, one->replay(stop));
    }
  {
    const std::lock_guard lock(committer_.mutex());
    for (const auto& one : warming) one->tap();
  }
  fail_point("swap.tapped");
  QW_TRY(bridge(warming, stop));
  return install(warming);
}

Result<void> Rollout::bridge(Warming& warming, const std::stop_token& stop) {
  QW_TRY(wait_durable(stop));
  for (const auto& one : warming) QW_TRY(one->bridge(stop));
  for (const auto& one : warming) {
    size_t left = kDrained;
    for (int round = 0; round < kDrains && left >= kDrained; ++round) {
      QW_ASSIGN(left, one->drain());
    }
  }
  return {};
}

Result<void> Rollout::install(Warming& warming) {
  const std::lock_guard lock(committer_.mutex());
  for (const auto& one : warming) {
    QW_ASSIGN(auto version, one->finish());
    pipeline_.install_challenger(one->decision(), std::move(version));
  }
  return {};
}

// Nothing of a version that will not serve is left behind.
void Rollout::give_up(Warming& warming) {
  const std::lock_guard lock(committer_.mutex());
  for (const auto& one : warming)
    if (const auto installed = pipeline_.drop_challenger(one->decision()))
      pipeline_.erase_version(*installed);
    else
      pipeline_.erase_version(one->version());
}

Result<void> Rollout::swap(size_t model, const models::VersionInfo& info, int64_t before,
                           const std::stop_token& stop) {
  const PlanModel& planned = plan_->models[model];
  std::vector<std::unique_ptr<serve::LearningVersion>> old;
  {
    const std::lock_guard lock(committer_.mutex());
    PendingCommit& open = committer_.open();
    for (const size_t decision : decisions_of(model)) {
      old.push_back(pipeline_.swap_challenger(decision));
      pipeline_.erase_version(*old.back());
    }
    open.txn.put_meta(serving_meta_name(planned), std::to_string(info.version));
    open.need(store::Durability::kMachine);
    tell(open, model, info.version, "swapped",
         fmt::format("Version {} of '{}' serves", info.version, planned.name),
         fmt::format("it took the place of version {}", before));
  }
  fail_point("swap.done");
  QW_TRY(wait_durable(stop));
  fail_point("swap.durable");
  return registry_->promote(planned.registry_name, info.version, clock_.wall_us());
}

Result<void> Rollout::wait_durable(const std::stop_token& stop) {
  const auto durable = std::make_shared<std::promise<void>>();
  auto done = durable->get_future();
  {
    const std::lock_guard lock(committer_.mutex());
    committer_.open().then.push_back([durable] { durable->set_value(); });
  }
  committer_.hurry();
  while (done.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready)
    if (stop.stop_requested())
      return Error{ErrorCode::kUnavailable, "the application is stopping", "rollout", ""};
  return {};
}

void Rollout::tell(PendingCommit& open, size_t model, int64_t version, const char* phase,
                   const std::string& title, const std::string& detail) {
  journal_.append(open, "model",
                  nlohmann::json{{"phase", phase},
                                 {"model", plan_->models[model].name},
                                 {"version", std::to_string(version)},
                                 {"title", title},
                                 {"detail", detail}});
  log::info("rollout", "{}{}{}", title, detail.empty() ? "" : ": ", detail);
}

Result<void> Rollout::set_state(size_t model, int64_t version, VersionState state,
                                const std::string& title, const std::string& reason) {
  QW_TRY(registry_->set_state(plan_->models[model].registry_name, version, state, reason,
                              clock_.wall_us()));
  const std::lock_guard lock(committer_.mutex());
  tell(committer_.open(), model, version, std::string(models::name_of(state)).c_str(), title,
       reason);
  return {};
}

std::vector<size_t> Rollout::decisions_of(size_t model) const {
  std::vector<size_t> decisions;
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision)
    if (plan_->decisions[decision].model == model) decisions.push_back(decision);
  return decisions;
}

}  // namespace qw::app
