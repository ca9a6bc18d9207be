#include "app/runtime/monitors.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/bytes.h"
#include "base/log.h"
#include "monitor/alerts/payload.h"
#include "store/commit/meta_names.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

using monitor::DriftLook;
using monitor::DriftState;

constexpr uint8_t kRecordKind = 0x45;
constexpr uint8_t kRecordVersion = 1;
constexpr int64_t kSaveNs = 10'000'000'000;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

monitor::Severity severity_of(Severity written) {
  switch (written) {
    case Severity::kNone: return monitor::Severity::kNone;
    case Severity::kInfo: return monitor::Severity::kInfo;
    case Severity::kWarning: return monitor::Severity::kWarn;
    case Severity::kCritical: return monitor::Severity::kPage;
  }
  return monitor::Severity::kNone;
}

monitor::DriftPolicy policy_of(const Monitor& file) {
  monitor::DriftPolicy policy;
  policy.every_us = file.every_us;
  if (file.threshold > 0) policy.distance_min = file.threshold;
  return policy;
}

std::vector<std::string> sinks_of(const Plan& plan, const Monitor& file) {
  std::vector<std::string> names;
  for (const Name& sink : file.sinks) names.push_back(sink.text);
  if (!names.empty()) return names;
  for (const PlanDecision& decision : plan.decisions) {
    if (plan.models[decision.model].name != file.model.text) continue;
    for (const PlanSink& sink : decision.sinks)
      if (sink.file->send == Send::kAlerts) names.push_back(sink.name);
  }
  return names;
}

}  // namespace

// One decision's watch and what is durable of it.
struct Monitors::Watched {
  Watched(size_t of, const Monitor& written)
      : decision(of), file(written), watch(policy_of(file)) {}

  const size_t decision;
  const Monitor& file;
  std::vector<std::string> sinks;
  monitor::DriftWatch watch;
  std::string served_by;
  std::map<PartitionId, Seq> applied;  // by the events' partition
  int64_t opened_us = 0;               // of the open alert; 0: none is
  int64_t checked_us = 0;
  std::atomic<bool> training_wanted{false};  // not handed to the hook yet
  int64_t next_save_ns = 0;
};

Monitors::Monitors(const Plan& plan, store::Lane& lane, store::Journal& journal,
                   streams::Outboxes& outboxes, const Clock& clock, ProfileOf profile_of)
    : plan_(plan),
      lane_(lane),
      journal_(journal),
      outboxes_(outboxes),
      clock_(clock),
      profile_of_(std::move(profile_of)) {
  for (const Monitor& file : plan.file.monitors)
    for (size_t decision = 0; decision < plan.decisions.size(); ++decision) {
      if (plan.models[plan.decisions[decision].model].name != file.model.text) continue;
      auto watched = std::make_unique<Watched>(decision, file);
      watched->sinks = sinks_of(plan, file);
      publish(*watched);
      watched_.emplace(decision, std::move(watched));
    }
}

Monitors::~Monitors() = default;

// ---- what is durable

Result<void> Monitors::open(const store::Store& store, const StreamsOf& streams_of) {
  for (auto& [decision, watched] : watched_) {
    QW_ASSIGN(const auto saved, store.get_meta(store::meta::drift(plan_.decisions[decision].name)));
    // Without a state there is nothing to go on with: the watch begins with the next decision.
    if (!saved) continue;
    const auto restored = restore(*watched, *saved);
    if (!restored.ok()) {
      if (restored.error().code != ErrorCode::kConflict) return restored.error();
      log::info("drift", "{}: `every` was changed, the reference is made anew",
                plan_.decisions[decision].name);
      continue;
    }
    QW_TRY(replay(store, *watched, streams_of(decision)));
    publish(*watched);
  }
  live_ = true;
  return {};
}

Result<void> Monitors::replay(const store::Store& store, Watched& watched,
                              const std::map<PartitionId, Seq>& streams) {
  store::History history(store);
  for (const auto& [stream, last] : streams) {
    std::optional<Error> trouble;
    const auto decoded = [&](std::string_view bytes) {
      auto record = schema::decode_decision(bytes);
      if (!record.ok()) trouble = record.error();
      return record;
    };
    Seq from{1};
    QW_TRY(history.scan_back(store::Log::kDecisions, stream, next(last), 1,
                             [&](Seq, std::string_view bytes) {
                               const auto record = decoded(bytes);
                               if (record.ok()) from = next(watched.applied[record->partition]);
                               return false;
                             }));
    if (trouble) return *trouble;
    QW_TRY(history.scan(store::Log::kDecisions, stream, from, next(last),
                        [&](Seq, std::string_view bytes) {
                          const auto record = decoded(bytes);
                          if (record.ok()) take(watched, *record);
                          return record.ok();
                        }));
    if (trouble) return *trouble;
  }
  return {};
}

void Monitors::save(Watched& watched) {
  std::string body;
  ByteWriter writer(body);
  writer.text(watched.served_by);
  writer.varint(watched.applied.size());
  for (const auto& [partition, seq] : watched.applied) {
    writer.u32(partition.value());
    writer.u64(seq.value());
  }
  writer.i64(watched.opened_us);
  writer.i64(watched.checked_us);
  writer.u8(watched.training_wanted ? 1 : 0);
  watched.watch.save(body);
  std::string sealed;
  seal_record(kRecordKind, kRecordVersion, body, sealed);
  lane_.open().txn.put_meta(store::meta::drift(plan_.decisions[watched.decision].name), sealed);
  watched.next_save_ns = clock_.monotonic_ns() + kSaveNs;
}

Result<void> Monitors::restore(Watched& watched, std::string_view bytes) {
  QW_ASSIGN(const SealedRecord record, open_record(bytes));
  const std::string& name = plan_.decisions[watched.decision].name;
  if (record.kind != kRecordKind)
    return Error{ErrorCode::kCorrupt, "the stored state of drift is damaged", name, ""};
  if (record.version != kRecordVersion)
    return Error{ErrorCode::kUnsupported, "a state of drift was written by a newer Quickwater",
                 name, "start the newer version"};
  ByteReader reader(record.body);
  const std::string served_by(reader.text());
  std::map<PartitionId, Seq> applied;
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
    const PartitionId partition{reader.u32()};
    applied[partition] = Seq{reader.u64()};
  }
  const int64_t opened_us = reader.i64();
  const int64_t checked_us = reader.i64();
  const bool training_wanted = reader.u8() != 0;
  if (!reader.ok())
    return Error{ErrorCode::kCorrupt, "the stored state of drift is damaged", name, ""};
  QW_TRY(watched.watch.restore(reader.rest()));
  watched.served_by = served_by;
  watched.applied = std::move(applied);
  watched.opened_us = opened_us;
  watched.checked_us = checked_us;
  watched.training_wanted = training_wanted;
  return {};
}

// ---- what is watched

void Monitors::on_decision(const DecisionSeen& seen) {
  const auto found = watched_.find(seen.decision);
  if (found == watched_.end()) return;
  Watched& watched = *found->second;
  take(watched, seen.record);
  if (watched.next_save_ns == 0) {  // the first since the start: what a crash cut off, or waits
    if (watched.training_wanted) ask_for_training(watched);
    watched.next_save_ns = clock_.monotonic_ns() + kSaveNs;
  }
  if (clock_.monotonic_ns() >= watched.next_save_ns) {
    if (watched.training_wanted) ask_for_training(watched);
    save(watched);
  }
}

void Monitors::take(Watched& watched, const schema::DecisionRecord& record) {
  watched.applied[record.partition] = record.event_seq;
  if (record.served_by() != watched.served_by) begin(watched, record);
  const DriftState before = watched.watch.state();
  const auto look = watched.watch.add(record.as_of.value(), record.warm, record.score);
  if (look) {
    watched.checked_us = clock_.wall_us();
    if (look->changed) tell(watched, *look, "");
  }
  if (live_ && (look || watched.watch.state() != before)) save(watched);
  if (look || watched.watch.state() != before) publish(watched);
}

// Another version answers: other scores, another reference.
void Monitors::begin(Watched& watched, const schema::DecisionRecord& record) {
  if (watched.watch.state() == DriftState::kDrifting) {
    DriftLook look = *watched.watch.last_look();
    look.state = DriftState::kSteady;
    tell(watched, look, fmt::format("{} serves now", record.served_by()));
  }
  watched.training_wanted = false;
  watched.served_by = record.served_by();
  watched.checked_us = 0;
  watched.watch = monitor::DriftWatch(policy_of(watched.file),
                                      reference_of(watched, record.version.value_or(0)));
  if (live_) save(watched);
  publish(watched);
}

void Monitors::prepare(size_t model, int64_t version) {
  const bool wanted = std::ranges::any_of(watched_, [&](const auto& watched) {
    return plan_.decisions[watched.first].model == model &&
           watched.second->file.reference == DriftReference::kTraining;
  });
  if (!wanted || version == 0) return;
  Reference reference = read_reference(model, version);
  const std::lock_guard lock(references_mutex_);
  references_.insert_or_assign({model, version}, std::move(reference));
}

Monitors::Reference Monitors::reference_of(const Watched& watched, int64_t version) {
  if (watched.file.reference != DriftReference::kTraining || version == 0) return std::nullopt;
  const size_t model = plan_.decisions[watched.decision].model;
  {
    const std::lock_guard lock(references_mutex_);
    if (const auto known = references_.find({model, version}); known != references_.end())
      return known->second;
  }
  // A version that only the log knows; open() reads it, with nothing else under way.
  if (!live_) return read_reference(model, version);
  log::warning("drift", "{}: served unprepared; its first scores take the place",
               watched.served_by);
  return std::nullopt;
}

Monitors::Reference Monitors::read_reference(size_t model, int64_t version) const {
  const std::string name = fmt::format("{}@{}", plan_.models[model].name, version);
  const auto text = profile_of_(plan_.models[model].registry_name, version);
  if (text.ok()) {
    auto profile = schema::ScoreProfile::from_json(*text);
    if (profile.ok()) return std::move(profile).value();
    log::info("drift", "{}: {}; its first scores take the place", name, profile.error().message);
    return std::nullopt;
  }
  log::warning("drift", "{}: {}; its first scores take the place", name, text.error().to_string());
  return std::nullopt;
}

// ---- what is said

void Monitors::tell(Watched& watched, const DriftLook& look, const std::string& reason) {
  const bool drifts = look.state == DriftState::kDrifting;
  std::string said = reason;
  if (said.empty())
    said = drifts ? fmt::format("the scores of '{}' drifted: distance {:.2f}, {:.2f} is tolerated",
                                watched.file.model.text, look.distance, look.threshold)
                  : fmt::format("the scores of '{}' are as usual again: distance {:.2f}",
                                watched.file.model.text, look.distance);
  if (!live_) return;
  store::DriftBody body;
  body.model = watched.file.model.text;
  body.decision = plan_.decisions[watched.decision].name;
  body.served_by = watched.served_by;
  body.state = monitor::name_of(look.state);
  body.test = "ks";
  body.value = look.distance;
  body.threshold = look.threshold;
  body.p_value = look.p_value;
  body.scores = look.scores;
  body.look = look.number;
  body.event_us = look.at_us;
  body.message = said;
  if (drifts && !watched.file.retrain.empty()) body.retrain = watched.file.retrain.text;
  journal_.append(lane_.open(), body);
  alert(watched, look, said);
  if (!drifts || watched.file.retrain.empty()) return;
  watched.training_wanted = true;
  ask_for_training(watched);
}

// Once the drift is durable: a request for what may never have happened would be wrong.
void Monitors::ask_for_training(Watched& watched) {
  if (!training_hook_) return;
  TrainingWanted wanted{watched.file.retrain.text, watched.file.model.text, ""};
  if (const auto& look = watched.watch.last_look())
    wanted.reason = fmt::format("the scores of '{}' drifted: distance {:.2f}, {:.2f} is tolerated",
                                wanted.model, look->distance, look->threshold);
  lane_.open().then.push_back([this, &watched, wanted = std::move(wanted)] {
    training_hook_(wanted, [this, &watched] {
      watched.training_wanted = false;
      const auto held = lane_.hold();
      save(watched);  // or a restart would ask once more
    });
  });
}

void Monitors::alert(Watched& watched, const DriftLook& look, const std::string& said) {
  const bool drifts = look.state == DriftState::kDrifting;
  const monitor::Severity severity = severity_of(watched.file.alert);
  if (severity == monitor::Severity::kNone || (!drifts && watched.opened_us == 0)) return;
  const std::string& decision = plan_.decisions[watched.decision].name;
  if (drifts) watched.opened_us = look.at_us;
  monitor::AlertDetail detail;
  detail.scope = {plan_.file.app.text, "drift", watched.file.model.text};
  detail.labels = {{"decision", decision}};
  detail.series_id = detail.scope.decision + "/" + decision;
  detail.metric = "score_distribution";
  detail.entity = watched.served_by;
  detail.model = watched.file.model.text;
  detail.summary = said;
  detail.value = detail.score = look.distance;
  detail.threshold = look.threshold;
  detail.usual_low = detail.usual_mid = detail.usual_high = kUnknown;
  monitor::AlertChange& change = detail.change;
  change.key = decision;
  change.opened_us = change.began_us = watched.opened_us;
  change.alert_id = change.lead_id = monitor::alert_id(detail.scope, PartitionId{0}, decision,
                                                       static_cast<uint64_t>(watched.opened_us));
  change.score_max = look.distance;
  change.transition.severity = severity;
  change.transition.at_us = look.at_us;
  change.transition.kind =
      drifts ? monitor::TransitionKind::kFired : monitor::TransitionKind::kResolved;
  for (const std::string& sink : watched.sinks) {
    streams::OutboxRow row;
    row.action_id = fmt::format("{}-{}", change.alert_id, monitor::name_of(change.transition.kind));
    row.created_at_us = clock_.wall_us();
    row.key = decision;
    row.json = monitor::notification_json(detail, sink);
    outboxes_.put(lane_.open(), sink, row);
  }
  if (!drifts) watched.opened_us = 0;
}

void Monitors::publish(const Watched& watched) {
  const std::lock_guard lock(status_mutex_);
  DriftStatus& status = status_[watched.decision];
  status.model = watched.file.model.text;
  status.decision = plan_.decisions[watched.decision].name;
  status.served_by = watched.served_by;
  status.state = watched.watch.state();
  status.look = watched.watch.last_look();
  status.checked_us = watched.checked_us;
}

std::vector<DriftStatus> Monitors::status() const {
  const std::lock_guard lock(status_mutex_);
  std::vector<DriftStatus> all;
  for (const auto& [decision, status] : status_) all.push_back(status);
  return all;
}

}  // namespace qw::app
