#include "app/runtime/alerting.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "app/runtime/decision_json.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

constexpr uint64_t kSavedAnyway = 60;  // ticks between two saves while no alert needs them
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double number_of(const schema::Value& value, const schema::Type& type) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr) return kUnknown;
  double scale = 1;
  for (uint8_t digit = 0; digit < type.scale; ++digit) scale *= 10;
  return static_cast<double>(*number) / scale;
}

// "cpu.busy_percent/all" -> metric and entity, for decisions whose key is made of these two columns
// or of one.
void split_key(const std::string& key, monitor::AlertDetail& detail) {
  const size_t slash = key.find('/');
  detail.metric = key.substr(0, slash);
  detail.entity = slash == std::string::npos ? std::string() : key.substr(slash + 1);
}

std::vector<std::string> source_names(const Plan& plan) {
  std::vector<std::string> names;
  for (const PlanSource& source : plan.sources) names.push_back(source.name);
  return names;
}

}  // namespace

Alerting::Alerting(const Plan& plan, store::Journal& journal, streams::Outboxes& outboxes,
                   const Clock& clock)
    : plan_(plan),
      journal_(journal),
      outboxes_(outboxes),
      clock_(clock),
      run_clock_(clock, source_names(plan)),
      audience_(plan) {
  for (size_t index = 0; index < plan.decisions.size(); ++index) {
    const PlanDecision& decision = plan.decisions[index];
    if (!decision.alert) continue;
    monitor::AlertBook::Options options;
    options.scope = {plan.file.app.text, decision.name, plan.sources[decision.source].name};
    options.policy = decision.alert->policy;
    options.max_keys = static_cast<size_t>(decision.file->alert->keys_max);
    books_.emplace(index, monitor::AlertBook(std::move(options)));
  }
}

std::string Alerting::meta_name(size_t decision, PartitionId stream, std::string_view key) const {
  return store::meta::alert(plan_.decisions[decision].name, stream, key);
}

Result<void> Alerting::open(const store::Store& store) {
  QW_TRY(audience_.open(store));
  QW_TRY(run_clock_.open(store));
  for (auto& [decision, book] : books_) {
    const std::string prefix = store::meta::alerts_of(plan_.decisions[decision].name);
    std::optional<Error> trouble;
    QW_TRY(
        store.scan_meta(prefix, [&, &book = book](std::string_view name, std::string_view bytes) {
          const auto series = store::meta::parse_series(prefix, name);
          const auto restored =
              series ? book.restore(series->stream, series->key, bytes)
                     : Error{ErrorCode::kCorrupt, "the name of an alert is damaged", "", ""};
          if (!restored.ok()) trouble = restored.error();
          return restored.ok();
        }));
    if (trouble) return *trouble;
  }
  return {};
}

void Alerting::name_stream(size_t decision, PartitionId stream, uint32_t source_partition) {
  const auto book = books_.find(decision);
  if (book != books_.end()) book->second.name_partition(stream, source_partition);
}

void Alerting::keep(store::PendingCommit& open, size_t decision, PartitionId stream,
                    const std::string& key) {
  std::string bytes;
  if (books_.at(decision).save(stream, key, bytes))
    open.txn.put_meta(meta_name(decision, stream, key), bytes);
}

bool Alerting::observe(store::PendingCommit& open, size_t decision, PartitionId stream,
                       const schema::DecisionRecord& record, monitor::Severity severity,
                       double threshold, const AlertWishes& wishes) {
  const auto found = books_.find(decision);
  if (found == books_.end()) return false;
  monitor::AlertBook& book = found->second;
  const RunClock::Reading now =
      run_clock_.read(plan_.decisions[decision].source, record.decided_at.value());
  if (now.direction != 0) note_clock_set(open, now.direction);
  const monitor::AlertState* state = book.find(stream, record.key);
  // Two quiet words in a row leave nothing that a restart would miss.
  const bool was_quiet = state == nullptr || (state->phase == monitor::AlertPhase::kIdle &&
                                              state->last_word == monitor::Severity::kNone);
  changes_.clear();
  book.observe(stream, record.key, "",
               {record.event_seq, record.as_of, now.quiet_us, severity, record.score}, changes_);
  state = book.find(stream, record.key);
  if (!was_quiet || severity != monitor::Severity::kNone) keep(open, decision, stream, record.key);
  const bool quiet = state == nullptr || state->phase == monitor::AlertPhase::kIdle;
  audience_.judged(open, {decision, stream, record.key}, quiet && changes_.empty(), wishes);
  for (const monitor::AlertChange& change : changes_)
    tell(open, decision, change, &record, threshold);
  return state != nullptr && state->phase == monitor::AlertPhase::kFiring;
}

// Of keys that are idle only memory knows it: what a crash can cost them is a run that is taken for
// whole although the clock was set in it.
void Alerting::note_clock_set(store::PendingCommit& open, int8_t direction) {
  for (auto& [decision, book] : books_) {
    book.clock_set(direction);
    for (const auto& [stream, key] : book.active()) keep(open, decision, stream, key);
  }
}

void Alerting::tick(store::PendingCommit& open, const std::function<Seq(PartitionId)>& newest,
                    const std::function<bool(size_t source)>& behind) {
  if (books_.empty()) return;
  run_clock_.tick(behind);
  const RunClock::Reading now = run_clock_.read(0, clock_.wall_us());
  if (now.direction != 0) note_clock_set(open, now.direction);
  bool matters = run_clock_.ticks() % kSavedAnyway == 0;
  for (auto& [decision, book] : books_) {
    book.forget_ended([&, decision = decision](PartitionId stream, std::string_view key) {
      open.txn.erase_meta(meta_name(decision, stream, key));
      audience_.judged(open, {decision, stream, std::string(key)}, /*quiet=*/true, {});
    });
    if (!book.needs_ticks()) continue;
    matters = true;
    changes_.clear();
    book.tick(run_clock_.ticks(), run_clock_.quiet_us(plan_.decisions[decision].source), newest,
              changes_);
    for (const monitor::AlertChange& change : changes_) {
      keep(open, decision, change.partition, change.key);
      tell(open, decision, change, nullptr, kUnknown);
    }
  }
  if (matters) run_clock_.save(open.txn);
}

monitor::AlertDetail Alerting::detail_of(size_t decision, const monitor::AlertChange& change,
                                         const schema::DecisionRecord* record,
                                         double threshold) const {
  const PlanDecision& planned = plan_.decisions[decision];
  const PlanModel& model = plan_.models[planned.model];
  monitor::AlertDetail detail;
  detail.scope = books_.at(decision).scope();
  detail.change = change;
  detail.series_id = fmt::format("{}/{}", planned.name, change.key);
  split_key(change.key, detail);
  detail.model = model.name;
  detail.value = detail.score = detail.usual_low = detail.usual_mid = detail.usual_high = kUnknown;
  detail.threshold = threshold;
  if (record == nullptr) return detail;
  if (record->version) detail.version = std::to_string(*record->version);
  detail.score = record->score;
  const schema::DecisionSchema& names = names_.at(decision);
  if (!record->inputs.empty())
    detail.value = number_of(record->inputs.front(), names.inputs.front().type);
  for (size_t index = 0; index < record->contributions.size(); ++index)
    detail.members.push_back({names.members[index], "", record->contributions[index]});
  for (size_t index = 0; index < record->features.size(); ++index) {
    const schema::Field& field = names.features[index];
    if (!field.type.is_numeric()) continue;
    store::AlertFeatureBody feature;
    feature.name = field.name;
    feature.value = number_of(record->features[index], field.type);
    feature.status = shown_status(
        index < record->statuses.size() ? record->statuses[index] : schema::FeatureStatus::kPresent,
        schema::is_null(record->features[index]));
    feature.usual_low = feature.usual_mid = feature.usual_high = kUnknown;
    detail.features.push_back(std::move(feature));
  }
  return detail;
}

void Alerting::tell(store::PendingCommit& open, size_t decision, const monitor::AlertChange& change,
                    const schema::DecisionRecord* record, double threshold) {
  const monitor::AlertDetail detail = detail_of(decision, change, record, threshold);
  const std::string_view kind = monitor::name_of(change.transition.kind);
  journal_.append(open, monitor::journal_body(detail));
  const AlertWishes hearers = audience_.hear(open, decision, change);
  if (change.notify) {
    const std::vector<PlanSink>& sinks = plan_.decisions[decision].sinks;
    for (size_t index = 0; index < sinks.size(); ++index) {
      const PlanSink& sink = sinks[index];
      if (sink.file->send != Send::kAlerts || !hearers.sinks[index]) continue;
      streams::OutboxRow row;
      row.action_id = fmt::format("{}-{}-{}", change.alert_id, kind,
                                  monitor::name_of(change.transition.severity));
      row.created_at_us = clock_.wall_us();
      row.key = change.key;
      row.json = monitor::notification_json(detail, sink.name);
      outboxes_.put(open, sink.name, row);
    }
  }
  if (listener_) listener_(open, decision, detail, hearers);
}

std::map<std::string, AlertKeys> Alerting::keys() const {
  std::map<std::string, AlertKeys> keys;
  for (const auto& [decision, book] : books_)
    keys[plan_.decisions[decision].name] = {book.keys(), book.refused()};
  return keys;
}

size_t Alerting::open_alerts() const {
  size_t open = 0;
  for (const auto& [decision, book] : books_) open += book.open();
  return open;
}

}  // namespace qw::app
