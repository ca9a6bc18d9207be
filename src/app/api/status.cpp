#include "app/api/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace qw::app {
namespace {

constexpr int64_t kOutboxFailingUs = 10'000'000;  // shorter troubles mend themselves unnoticed

// Recorded data: the event times are the past.
bool is_replay(const Plan& plan) {
  return !plan.sources.empty() &&
         std::all_of(plan.sources.begin(), plan.sources.end(), [](const PlanSource& source) {
           const auto* file = std::get_if<FileSource>(&source.file->kind);
           return file != nullptr && file->mode != FileMode::kTail;
         });
}

std::string_view state_of(const streams::SourceStatus& status, bool paused) {
  switch (status.state) {
    case streams::SourceState::kStarting: return "starting";
    case streams::SourceState::kFinished:
    case streams::SourceState::kClosed: return "finished";
    case streams::SourceState::kWaiting: return status.trouble ? "failed" : "running";
    case streams::SourceState::kRunning: break;
  }
  return paused ? "paused" : "running";
}

uint64_t passed(const streams::GateCounts& counts) {
  return counts.ok + counts.late_repaired + counts.late_dropped + counts.duplicate +
         counts.quarantined;
}

// What was buried, by why.
std::vector<std::pair<const char*, uint64_t>> buried(const streams::GateCounts& counts) {
  return {{"bad_record", counts.rejected},
          {"time_ahead", counts.future},
          {"absurd_time", counts.absurd_time},
          {"quarantined", counts.quarantined}};
}

Json notice_json(const Notice& notice) {
  return {{"severity", notice.severity},
          {"code", notice.code},
          {"where", notice.where},
          {"message", notice.message},
          {"how_to_mend", notice.how_to_mend}};
}

bool waits_for_disk(const store::Committer::Status& status) {
  return status.state == store::CommitState::kDiskFull ||
         status.state == store::CommitState::kFailing;
}

}  // namespace

StatusAnswers::StatusAnswers(const Plan& plan, const Board& board, const Clock& clock,
                             const MetricRegistry& metrics, std::string version)
    : plan_(plan),
      board_(board),
      clock_(clock),
      version_(std::move(version)),
      started_us_(clock.wall_us()),
      started_ns_(clock.monotonic_ns()),
      replay_(is_replay(plan)),
      stages_(metrics),
      rates_(plan.sources.size()) {}

std::vector<StatusAnswers::SourceCounts> StatusAnswers::counts_of(Runtime& runtime) const {
  return runtime.between_events([&](Pipeline& pipeline, store::PendingCommit&) {
    std::vector<SourceCounts> counts;
    for (size_t source = 0; source < plan_.sources.size(); ++source)
      counts.push_back({pipeline.gate(source).counts(), std::numeric_limits<int64_t>::min()});
    for (const PartitionProgress& at : pipeline.progress())
      counts[at.source].watermark_us =
          std::max(counts[at.source].watermark_us, at.watermark.value());
    return counts;
  });
}

void StatusAnswers::sample(Runtime& runtime) {
  const int64_t now_ns = clock_.monotonic_ns();
  stages_.sample(now_ns);
  const auto counts = counts_of(runtime);
  for (size_t source = 0; source < rates_.size(); ++source)
    rates_[source].sample(now_ns, static_cast<double>(passed(counts[source].gate)));
  warming_.sample(now_ns, board_.warm_up().fraction);
  for (const auto& [name, outbox] : runtime.outboxes().status()) {
    if (outbox.failures_in_a_row == 0)
      failing_since_us_.erase(name);
    else
      failing_since_us_.try_emplace(name, clock_.wall_us());
  }
}

Json StatusAnswers::sources(Runtime& runtime, const std::vector<SourceCounts>& counts) const {
  const bool paused = waits_for_disk(runtime.committer().status()) || !runtime.outboxes().room();
  Json list = Json::array();
  const auto all = runtime.sources();
  for (size_t index = 0; index < all.size(); ++index) {
    const streams::SourceStatus& status = all[index].status;
    const streams::GateCounts& gate = counts[index].gate;
    const auto per_s = rates_[index].per_s();
    Json lag_events = nullptr, lag_s = nullptr, age_s = nullptr;
    if (!status.lag_records.empty()) {
      int64_t lag = 0;
      for (const auto& [partition, records] : status.lag_records) lag += records;
      lag_events = lag;
      if (lag == 0) lag_s = 0.0;
      if (lag > 0 && per_s.value_or(0) > 0) lag_s = static_cast<double>(lag) / *per_s;
    }
    if (!replay_ && counts[index].watermark_us > std::numeric_limits<int64_t>::min())
      age_s = static_cast<double>(clock_.wall_us() - counts[index].watermark_us) * 1e-6;
    uint64_t dead = 0;
    for (const auto& [reason, count] : buried(gate)) dead += count;
    list.push_back({{"name", all[index].name},
                    {"kind", all[index].kind},
                    {"state", state_of(status, paused)},
                    {"lag_events", lag_events},
                    {"lag_s", lag_s},
                    {"watermark_age_s", age_s},
                    {"events_total", passed(gate)},
                    {"events_per_s", per_s ? rounded(*per_s) : Json(nullptr)},
                    {"dead_letter_total", dead},
                    {"late_total", gate.late_repaired + gate.late_dropped},
                    {"message", status.trouble ? Json(status.trouble->message)
                                               : text_or_null(status.detail)}});
  }
  return list;
}

Json StatusAnswers::stages() const {
  Json list = Json::array();
  for (const StageLately& stage : stages_.read())
    list.push_back({{"name", stage.name},
                    {"count", stage.count},
                    {"p50_us", rounded(stage.p50_us)},
                    {"p99_us", rounded(stage.p99_us)},
                    {"p999_us", rounded(stage.p999_us)}});
  return list;
}

Json StatusAnswers::commit(Runtime& runtime) const {
  const store::Committer::Status status = runtime.committer().status();
  const bool any = status.commits > 0;
  const bool machine = plan_.file.durability.events == Durability::kMachine;
  return {
      {"interval_ms", static_cast<double>(plan_.file.durability.commit_interval_us) * 1e-3},
      {"fsync", machine ? "machine" : "process"},
      {"last_us", any ? Json(static_cast<double>(status.last_us)) : Json(nullptr)},
      {"age_s", any ? Json(static_cast<double>(clock_.wall_us() - status.last_ended_wall_us) * 1e-6)
                    : Json(nullptr)},
      {"state", waits_for_disk(status)                      ? "disk_full"
                : status.state == store::CommitState::kSlow ? "slow"
                                                            : "ok"}};
}

std::string StatusAnswers::kind_of_sink(const std::string& name) const {
  for (const PlanDecision& decision : plan_.decisions)
    for (const PlanSink& sink : decision.sinks)
      if (sink.name == name) return sink.file->kind_name();
  return "webhook";  // of a healing action
}

Json StatusAnswers::sinks(Runtime& runtime) const {
  Json list = Json::array();
  for (const auto& [name, outbox] : runtime.outboxes().status()) {
    const auto since = failing_since_us_.find(name);
    list.push_back({{"name", name},
                    {"kind", kind_of_sink(name)},
                    {"pending", outbox.waiting},
                    {"delivered_total", outbox.delivered},
                    {"failed_total", outbox.refused + outbox.expired + outbox.dropped},
                    {"failing_since_us",
                     since == failing_since_us_.end() ? Json(nullptr) : Json(since->second)},
                    {"message", outbox.failures_in_a_row > 0 ? text_or_null(outbox.last_trouble)
                                                             : Json(nullptr)}});
  }
  return {{"sinks", std::move(list)}};
}

Json StatusAnswers::dead_letters(const std::vector<SourceCounts>& counts) const {
  std::map<std::string, uint64_t> reasons;
  uint64_t total = 0;
  for (const SourceCounts& source : counts)
    for (const auto& [reason, count] : buried(source.gate)) {
      if (count > 0) reasons[reason] += count;
      total += count;
    }
  Json list = Json::array();
  for (const auto& [reason, count] : reasons)
    list.push_back({{"reason", reason}, {"count", count}});
  return {{"total", total}, {"by_reason", std::move(list)}};
}

Json StatusAnswers::warm_up() const {
  const Board::WarmUp up = board_.warm_up();
  Json eta_s = nullptr;
  if (up.series > 0 && up.warm == up.series) eta_s = 0.0;
  const double rate = warming_.per_s().value_or(0);
  if (up.warm < up.series && rate > 1e-6) eta_s = rounded((1 - up.fraction) / rate);
  return {{"series_total", up.series},
          {"series_warm", up.warm},
          {"fraction", rounded(up.fraction)},
          {"eta_s", std::move(eta_s)}};
}

Json StatusAnswers::notices(Runtime& runtime) const {
  std::vector<Notice> all;
  if (const auto failure = runtime.failure())
    all.push_back({"critical", "failed", failure->where, failure->message, failure->how_to_mend});
  const store::Committer::Status commit = runtime.committer().status();
  if (commit.state == store::CommitState::kDiskFull)
    all.push_back({"critical", "disk_full", "data folder",
                   "The disk with the data folder is full; new events wait.",
                   "Free some space: intake resumes by itself, nothing is lost."});
  if (commit.state == store::CommitState::kFailing)
    all.push_back({"critical", "commit_failing", "data folder", commit.message,
                   "See the log; intake resumes by itself once writing works again."});
  for (const auto& source : runtime.sources())
    if (source.status.trouble)
      all.push_back({"warning", "source_waiting", "source " + source.name,
                     source.status.trouble->message, source.status.trouble->how_to_mend});
  for (const auto& [name, outbox] : runtime.outboxes().status()) {
    const auto since = failing_since_us_.find(name);
    if (since == failing_since_us_.end()) continue;
    const int64_t failing_us = clock_.wall_us() - since->second;
    if (failing_us < kOutboxFailingUs) continue;
    all.push_back({"warning", "outbox_failing", "sink " + name,
                   fmt::format("nothing could be delivered for {} s: {}", failing_us / 1'000'000,
                               outbox.last_trouble),
                   "check that the receiver is up; deliveries resume by themselves"});
  }
  if (const uint64_t refused = board_.refused(); refused > 0)
    all.push_back({"info", "series_not_shown", "page",
                   fmt::format("only {} series are kept for the page", Board::kMaxSeries),
                   "they are all decided on; narrow what is watched to see others"});
  if (more_notices)
    for (Notice& notice : more_notices()) all.push_back(std::move(notice));
  Json list = Json::array();
  for (const Notice& notice : all) list.push_back(notice_json(notice));
  return list;
}

Json StatusAnswers::answer(Runtime& runtime) const {
  const auto counts = counts_of(runtime);
  const bool working = !runtime.failure();
  Json none = {{"enabled", false},
               {"kinds", Json::array()},
               {"seconds_max", 120},
               {"incident_running", false},
               {"incident", nullptr}};
  return {{"app", plan_.file.app.text},
          {"version", version_},
          {"role", "all"},
          {"now_us", clock_.wall_us()},
          {"started_us", started_us_},
          {"uptime_s", static_cast<double>(clock_.monotonic_ns() - started_ns_) * 1e-9},
          {"live", true},
          {"ready", working},
          {"mode", replay_ ? "replay" : "live"},
          {"sources", sources(runtime, counts)},
          {"stages", stages()},
          {"commit", commit(runtime)},
          {"outbox", sinks(runtime)},
          {"dead_letter", dead_letters(counts)},
          {"warmup", warm_up()},
          {"alerts", alerts ? alerts() : Json{{"open", 0}, {"unjudged", 0}}},
          {"demo", demo ? demo() : std::move(none)},
          {"notices", notices(runtime)}};
}

}  // namespace qw::app
