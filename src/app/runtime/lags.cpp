#include "app/runtime/lags.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "app/runtime/runtime.h"
#include "base/guard.h"
#include "base/log.h"

namespace qw::app {
namespace {

constexpr auto kEvery = std::chrono::seconds(1);
// A gauge that says nothing any more; it is not exported.
constexpr double kGone = std::numeric_limits<double>::quiet_NaN();

double seconds_since(int64_t now_us, int64_t then_us) {
  return static_cast<double>(std::max<int64_t>(0, now_us - then_us)) * 1e-6;
}

}  // namespace

Lags::Lags(Runtime& runtime, const Clock& clock, MetricRegistry& metrics)
    : runtime_(runtime),
      clock_(clock),
      metrics_(metrics),
      warm_up_(runtime.plan().decisions.size()) {}

Lags::~Lags() { stop(); }

void Lags::start() {
  thread_ = std::jthread([this] {
    std::unique_lock lock(turn_mutex_);
    while (!stopping_) {
      lock.unlock();
      const auto seen = guarded("metrics", [this] { read(); });
      if (!seen.ok()) log::warning("metrics", "{}", seen.error().to_string());
      log::flush();
      lock.lock();
      turn_.wait_for(lock, kEvery, [this] { return stopping_; });
    }
  });
}

void Lags::stop() {
  {
    const std::lock_guard lock(turn_mutex_);
    stopping_ = true;
  }
  turn_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Lags::on_decision(const DecisionSeen& seen) {
  WarmUp& warm_up = warm_up_[seen.decision];
  warm_up.sum += static_cast<double>(seen.warm_up);
  ++warm_up.count;
}

void Lags::on_journal(Seq, const schema::JournalRecord& record) {
  metrics_
      .counter("quickwater_journal_records_total", "What happened, by the journal's kinds.",
               {{"kind", record.kind}})
      .add();
  if (!store::is_a<store::HealStepBody>(record)) return;
  const auto body = store::body_of<store::HealStepBody>(record);
  if (!body.ok()) return;
  const std::string step =
      body->outcome.value_or(record.kind.substr(std::string_view("action_").size()));
  metrics_
      .counter("quickwater_heal_steps_total", "Steps of healing actions, and what came of them.",
               {{"heal", body->heal}, {"step", step}})
      .add();
}

void Lags::read() {
  read_sources();
  read_pipeline();
  read_commits();
  read_outboxes();
  read_drift();
}

void Lags::read_sources() {
  const int64_t now_ns = clock_.monotonic_ns();
  size_t index = 0;
  owned_.clear();
  Shown shown(lag_gauges_);
  for (const Runtime::SourceHealth& source : runtime_.sources()) {
    runtime_.system_log().look(index++, source.status);
    const Labels labels{{"source", source.name}};
    metrics_.gauge("quickwater_source_queue_rows", "Events read and not applied yet.", labels)
        .set(static_cast<double>(source.queue_rows));
    metrics_
        .gauge("quickwater_source_lag_seconds",
               "How long the oldest event that was read waits to be applied.", labels)
        .set(source.queue_since_ns == 0
                 ? 0.0
                 : static_cast<double>(now_ns - source.queue_since_ns) * 1e-9);
    for (const auto& [partition, records] : source.status.lag_records)
      shown.set(metrics_.gauge("quickwater_source_lag_events",
                               "Records in the source that are not read yet.",
                               {{"source", source.name}, {"partition", std::to_string(partition)}}),
                static_cast<double>(records));
    if (source.status.owned)
      metrics_
          .gauge("quickwater_source_rebuilding_events",
                 "Records that others decided, still to be read for what is remembered of them.",
                 labels)
          .set(static_cast<double>(source.status.rebuilding));
    count_to("quickwater_source_missed_total", "Records that were removed before they were read.",
             labels, source.status.missed);
    count_to("quickwater_source_places_lost_total",
             "Saved places that were of other records: the topic was made anew.", labels,
             source.status.places_lost);
    owned_.push_back(source.status.owned);
  }
  shown.end();
}

void Lags::Shown::set(Gauge& gauge, double value) {
  gauge.set(value);
  now_.insert(&gauge);
}

void Lags::Shown::end() {
  for (Gauge* gauge : before_)
    if (!now_.contains(gauge)) gauge->set(kGone);
  before_ = std::move(now_);
}

// A counter that follows a number counted elsewhere.
void Lags::count_to(const std::string& name, const std::string& help, const Labels& labels,
                    uint64_t total) {
  qw::Counter& counter = metrics_.counter(name, help, labels);
  if (total > counter.value()) counter.add(total - counter.value());
}

void Lags::count_facts(size_t source) {
  const streams::GateCounts& counts = runtime_.pipeline().gate(source).counts();
  const std::string& name = runtime_.plan().sources[source].name;
  const std::pair<const char*, uint64_t> statuses[] = {{"ok", counts.ok},
                                                       {"late_repaired", counts.late_repaired},
                                                       {"late_dropped", counts.late_dropped},
                                                       {"duplicate", counts.duplicate},
                                                       {"quarantined", counts.quarantined}};
  for (const auto& [status, count] : statuses)
    count_to("quickwater_events_total", "Events by what was decided about them.",
             {{"source", name}, {"status", status}}, count);
  const std::pair<const char*, uint64_t> reasons[] = {{"rejected", counts.rejected},
                                                      {"quarantined", counts.quarantined},
                                                      {"future", counts.future},
                                                      {"absurd_time", counts.absurd_time},
                                                      {"late", counts.late_buried}};
  for (const auto& [reason, count] : reasons)
    count_to("quickwater_dead_letters_total", "Records that could not be used, by the reason.",
             {{"source", name}, {"reason", reason}}, count);
  count_to("quickwater_nulled_values_total", "Values that became null, by the reason.",
           {{"source", name}, {"reason", "expectation"}}, counts.nulled);
  const streams::SeenIds& ids = runtime_.pipeline().gate(source).ids();
  const std::pair<const char*, uint64_t> places[] = {{"memory", ids.in_memory()},
                                                     {"disk", ids.on_disk()}};
  for (const auto& [place, held] : places)
    metrics_
        .gauge("quickwater_dedup_ids", "Event ids that a repeat would be known by.",
               {{"source", name}, {"place", place}})
        .set(static_cast<double>(held));
}

void Lags::read_pipeline() {
  std::map<std::string, store::StateLag> lags;
  std::vector<streams::GateCounts> counts;
  std::map<std::string, AlertKeys> alert_keys;
  const int64_t now_us = clock_.wall_us();
  runtime_.between_events([&](Pipeline& pipeline, store::PendingCommit&) {
    Shown shown(watermark_gauges_);
    for (const PartitionProgress& at : pipeline.progress()) {
      if (at.watermark.value() == std::numeric_limits<int64_t>::min()) continue;
      if (owned_[at.source] && !owned_[at.source]->contains(at.partition)) continue;
      shown.set(metrics_.gauge("quickwater_watermark_age_seconds",
                               "How far the newest event time lies behind the clock.",
                               {{"source", runtime_.plan().sources[at.source].name},
                                {"partition", std::to_string(at.partition)}}),
                seconds_since(now_us, at.watermark.value()));
    }
    shown.end();
    for (size_t source = 0; source < runtime_.plan().sources.size(); ++source) {
      count_facts(source);
      counts.push_back(pipeline.gate(source).counts());
    }
    for (size_t decision = 0; decision < warm_up_.size(); ++decision) {
      WarmUp& warm_up = warm_up_[decision];
      if (warm_up.count == 0) continue;
      metrics_
          .gauge("quickwater_warm_up_ratio",
                 "How far the series of the last second's decisions are through their warm-up.",
                 {{"decision", runtime_.plan().decisions[decision].name}})
          .set(warm_up.sum / static_cast<double>(warm_up.count));
      warm_up = {};
    }
    lags = runtime_.checkpointer().lags();
    alert_keys = pipeline.alerting().keys();
  });
  read_limits(alert_keys);
  for (size_t source = 0; source < counts.size(); ++source)
    metrics_
        .gauge("quickwater_late_ratio",
               "Share of events that came later than allowed, in the last minute.",
               {{"source", runtime_.plan().sources[source].name}})
        .set(runtime_.system_log().look(source, counts[source]));
  for (auto& [owner, gauge] : replay_gauges_)
    if (!lags.contains(owner)) gauge->set(0);
  for (const auto& [owner, lag] : lags) {
    const Labels labels{{"state", owner}};
    Gauge& replay = metrics_.gauge("quickwater_replay_lag_events",
                                   "Events that a start now would read again.", labels);
    replay.set(static_cast<double>(lag.events));
    replay_gauges_[owner] = &replay;
    metrics_
        .gauge("quickwater_checkpoint_waiting_rows", "States whose changes are not on disk yet.",
               labels)
        .set(static_cast<double>(lag.dirty));
    metrics_.gauge("quickwater_recovering_rows", "Keys not caught up since the start.", labels)
        .set(static_cast<double>(lag.catching_up));
  }
}

// What is bounded, how far it is used, and whether that made something worse.
void Lags::read_limits(const std::map<std::string, AlertKeys>& alert_keys) {
  SystemLog& log = runtime_.system_log();
  for (const auto& [decision, keys] : alert_keys) {
    metrics_
        .gauge("quickwater_alert_keys", "Series that have an alert or had one lately.",
               {{"decision", decision}})
        .set(static_cast<double>(keys.held));
    count_to("quickwater_alert_keys_refused_total", "Decisions whose series found no room.",
             {{"decision", decision}}, keys.refused);
    log.look("decisions[].alert.keys_max of " + decision, keys.refused,
             fmt::format("'{}' does not judge further series", decision),
             fmt::format("{} series have an alert or had one lately: raise keys_max", keys.held));
  }
  const std::pair<const char*, const store::MemoryBudget*> budgets[] = {
      {"views", &runtime_.pipeline().features().memory()}, {"models", &runtime_.model_memory()}};
  for (const auto& [name, budget] : budgets) {
    metrics_
        .gauge("quickwater_state_memory_bytes", "What states take in memory.", {{"states", name}})
        .set(static_cast<double>(budget->used_bytes()));
    count_to("quickwater_state_evictions_total", "States that left memory for others.",
             {{"states", name}}, budget->evictions());
    log.look(fmt::format("memory.{}", name), budget->evictions(),
             fmt::format("The states of {} no longer fit into memory", name),
             fmt::format("they take {} MB of {} MB; those that were not used lately are read back "
                         "from disk, which is slower",
                         budget->used_bytes() / 1'000'000, budget->limit_bytes() / 1'000'000));
  }
}

void Lags::read_commits() {
  size_t waiting_bytes = 0;
  bool empty = true;
  runtime_.between_events([&](Pipeline&, store::PendingCommit& open) {
    waiting_bytes = open.txn.bytes();
    empty = open.empty();
  });
  const store::Committer::Status status = runtime_.committer().status();
  runtime_.system_log().look(status);
  metrics_.gauge("quickwater_commit_queue_bytes", "Changes that wait for the next commit.")
      .set(static_cast<double>(waiting_bytes));
  metrics_
      .gauge("quickwater_commit_age_seconds",
             "Time since the last commit while changes wait for the next one; 0 when none do.")
      .set(empty || status.last_ended_wall_us == 0
               ? 0.0
               : seconds_since(clock_.wall_us(), status.last_ended_wall_us));
}

void Lags::read_outboxes() {
  for (const auto& [sink, status] : runtime_.outboxes().status())
    metrics_
        .gauge("quickwater_outbox_age_seconds", "How long the oldest undelivered row waits.",
               {{"sink", sink}})
        .set(status.waiting == 0 || status.oldest_waiting_us == 0
                 ? 0.0
                 : seconds_since(clock_.wall_us(), status.oldest_waiting_us));
}

void Lags::read_drift() {
  for (const DriftStatus& drift : runtime_.monitors().status()) {
    const Labels labels{{"model", drift.model}, {"decision", drift.decision}};
    metrics_.gauge("quickwater_drifting_info", "1: the scores drift from their reference.", labels)
        .set(drift.state == monitor::DriftState::kDrifting ? 1 : 0);
    if (!drift.look) continue;
    metrics_
        .gauge("quickwater_drift_distance_ratio",
               "Kolmogorov-Smirnov distance of the last span's scores from the reference.", labels)
        .set(drift.look->distance);
    metrics_
        .gauge("quickwater_drift_threshold_ratio", "The distance from which it would be drift.",
               labels)
        .set(drift.look->threshold);
    metrics_.gauge("quickwater_drift_check_age_seconds", "Time since that comparison.", labels)
        .set(seconds_since(clock_.wall_us(), drift.checked_us));
  }
}

}  // namespace qw::app
