#include "app/runtime/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "app/runtime/connect.h"
#include "app/runtime/decision_json.h"
#include "base/crash_watch.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "store/commit/meta_names.h"
#include "store/schemas.h"
#include "streams/decoders/decoder.h"

namespace qw::app {

using features::Cell;

namespace {

std::vector<const features::SourceFeatures*> features_of(const Plan& plan) {
  std::vector<const features::SourceFeatures*> all;
  for (const PlanSource& source : plan.sources) all.push_back(&source);
  return all;
}

}  // namespace

Pipeline::Pipeline(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
                   store::Checkpointer& checkpointer, store::Journal& journal,
                   streams::Outboxes& outboxes, Healers& healing, const Clock& clock,
                   MetricRegistry& metrics, const PipelineOptions& options)
    : plan_(std::move(plan)),
      store_(store),
      lane_(lane),
      checkpointer_(checkpointer),
      journal_(journal),
      outboxes_(outboxes),
      healing_(healing),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      computed_latency_(metrics.latency("quickwater_stage_latency_seconds",
                                        "From an event's arrival to the end of a stage.",
                                        {{"stage", "computed"}})),
      decisions_total_(metrics.counter("quickwater_decisions_total", "Decisions made.")),
      alerting_(*plan_, journal, outboxes, clock),
      features_(features_of(*plan_), store, lane, checkpointer, journal, partitions_, clock,
                metrics, options.features) {
  for (const PlanSource& source : plan_->sources) sources_.emplace_back(source);
  for (const PlanDecision& planned : plan_->decisions)
    decisions_.emplace_back(planned, plan_->sources[planned.source], make_slot(planned));
  alerting_.listen([this](store::PendingCommit& open, size_t decision,
                          const monitor::AlertDetail& detail, const AlertWishes& wishes) {
    healing_.on_alert(open, decision, detail, wishes.heals);
  });
}

Pipeline::~Pipeline() = default;

std::unique_ptr<serve::ModelSlot> Pipeline::make_slot(const PlanDecision& planned) {
  serve::ServingOptions options;
  options.decision = planned.name;
  options.model = planned.model_name;
  options.input = serve::input_definition(planned);
  options.inputs = serve::offered_inputs(planned);
  options.replay_max_us = checkpointer_.replay_max_us();
  options.memory = options_.model_memory;
  return std::make_unique<serve::ModelSlot>(store_, lane_, checkpointer_, clock_, options);
}

Pipeline::DecisionRun::DecisionRun(const PlanDecision& planned, const PlanSource& source,
                                   std::unique_ptr<serve::ModelSlot> its_slot)
    : slot(std::move(its_slot)), decider(planned, *slot) {
  const auto condition = [](const std::optional<features::Expression>& written) {
    return written ? Condition(*written) : Condition();
  };
  if (planned.alert) severity.emplace(planned.alert->severity);
  for (const PlanSink& sink : planned.sinks) {
    sinks.push_back(condition(sink.when));
    streams_of_rows.push_back(writes_with(source, *sink.file) ? stream_of(source) : "");
  }
  for (const PlanHeal& heal : planned.heals) heals.push_back(condition(heal.when));
}

Result<void> Pipeline::open() {
  QW_TRY(partitions_.open(store_));
  QW_TRY(alerting_.open(store_));
  QW_TRY(healing_.open(store_, lane_.open()));
  QW_TRY(features_.open());
  for (size_t decision = 0; decision < decisions_.size(); ++decision)
    if (!plan_->models[plan_->decisions[decision].model].engine) name_records(decision);
  for (size_t source = 0; source < sources_.size(); ++source) QW_TRY(open_source(source));
  return {};
}

Result<void> Pipeline::open_source(size_t index) {
  const PlanSource& planned = plan_->sources[index];
  SourceRun& run = sources_[index];
  auto gate = streams::Gate::make(gate_options_of(planned));
  if (!gate.ok()) {
    Error error = gate.error();
    error.where =
        fmt::format("{} (source {})", plan_->file.where(planned.file->name.place), planned.name);
    return error;
  }
  run.gate.emplace(std::move(gate).value());
  run.schema_id = store::stage_schema(*planned.schema, lane_.open().txn);
  QW_TRY(run.gate->restore(store_));
  size_t cells = planned.inputs->size();
  for (const size_t decision : planned.decisions)
    cells = std::max(cells, plan_->decisions[decision].inputs->size());
  run.cells.resize(cells);
  const std::string positions = store::meta::positions_of(planned.name);
  QW_TRY(store_.scan_meta(positions, [&](std::string_view name, std::string_view value) {
    if (const auto number = store::meta::parse_position(name)) run.saved[*number] = value;
    return true;
  }));
  for (const auto& [name, id] : partitions_.known()) {
    if (!name.starts_with(planned.name + "/")) continue;
    QW_TRY(
        partition(index, static_cast<uint32_t>(std::stoul(name.substr(planned.name.size() + 1)))));
  }
  return {};
}

Result<Pipeline::PartitionRun*> Pipeline::partition(size_t source, uint32_t number) {
  auto& partitions = sources_[source].partitions;
  const auto [found, is_new] = partitions.try_emplace(number);
  if (!is_new) return &found->second;
  const auto opened = open_partition(source, number, found->second);
  if (opened.ok()) return &found->second;
  partitions.erase(found);
  return opened.error();
}

Result<void> Pipeline::open_partition(size_t source, uint32_t number, PartitionRun& run) {
  const PlanSource& planned = plan_->sources[source];
  store::Txn& txn = lane_.open().txn;
  const std::string name = fmt::format("{}/{}", planned.name, number);
  run.id = partitions_.id_of(name, txn);
  QW_ASSIGN(run.last, store_.last_seq(store::Log::kEvents, run.id));
  for (const size_t decision : planned.decisions) {
    const PartitionId stream =
        partitions_.id_of(fmt::format("{}@{}", plan_->decisions[decision].name, name), txn);
    run.streams[decision] = stream;
    alerting_.name_stream(decision, stream, number);
    QW_TRY(decisions_[decision].slot->open_stream(stream));
  }
  // The last step: from here on others keep the address of `run.last`.
  QW_ASSIGN(run.features, features_.open_partition(source, number, run.id, run.last,
                                                   sources_[source].gate->watermark(run.id)));
  return {};
}

void Pipeline::name_records(size_t decision) {
  serve::Decider& decider = decisions_[decision].decider;
  if (decider.name_records(lane_.open().txn)) alerting_.name_values(decision, decider.schema());
}

Result<void> Pipeline::accept(size_t index, streams::SourceBatch&& batch, int64_t arrived_ns) {
  SourceRun& run = sources_[index];
  store::PendingCommit& open = lane_.open();
  QW_ASSIGN(PartitionRun* const partition, this->partition(index, batch.partition));
  save_position(index, batch);
  const uint64_t decided_to = batch.decided_to;
  const bool gap = batch.gap;
  QW_ASSIGN(const streams::Gated gated,
            run.gate->admit(partition->id, std::move(batch), KnownAt{clock_.wall_us()}));
  bury(gated.dead_letters);
  features_.note_gap(*partition->features, gap, gated.events.facts);
  for (size_t row = 0; row < gated.events.facts.size(); ++row) {
    const schema::EventFacts& facts = gated.events.facts[row];
    const Moment moment{run,   plan_->sources[index],          *partition, gated.events.rows, row,
                        facts, facts.seq.value() <= decided_to};
    if (!partition->features->loss_told && !moment.decided && facts.counts())
      features_.tell_gap(*partition->features, facts.event_time);
    QW_TRY(process(moment));
    computed_latency_.record_ns(clock_.monotonic_ns() - arrived_ns);
  }
  run.gate->stage(open.txn);
  if (gated.events.facts.empty()) return {};
  open.need(options_.event_durability);
  open.arrivals.emplace_back(arrived_ns, static_cast<uint32_t>(gated.events.facts.size()));
  return {};
}

void Pipeline::save_position(size_t source, const streams::SourceBatch& batch) {
  if (batch.resume.empty()) return;
  sources_[source].saved[batch.partition] = batch.resume;
  lane_.open().txn.put_meta(store::meta::position(plan_->sources[source].name, batch.partition),
                            batch.resume);
}

void Pipeline::bury(const std::vector<schema::DeadLetter>& letters) {
  for (const schema::DeadLetter& letter : letters) {
    std::string bytes;
    schema::encode_dead_letter(letter, bytes);
    lane_.open().append_numbered(store::Log::kDeadLetters, store::kJournalPartition,
                                 std::move(bytes));
    if (letter.reason != streams::kCrashedBefore) continue;
    metrics_
        .counter("quickwater_quarantined_records_total",
                 "Records put away because the process crashed on them.",
                 {{"source", letter.source}})
        .add();
    journal_.append(lane_.open(),
                    store::RecordQuarantinedBody{letter.source, letter.position, letter.reason});
  }
}

Result<void> Pipeline::process(const Moment& moment) {
  row_bytes_.clear();
  schema::encode_row(moment.rows, moment.row, row_bytes_);
  log_event(moment, row_bytes_);
  const bool late = moment.facts.status == schema::EventStatus::kLateDropped &&
                    moment.source.file->late == Late::kDecide;
  if (!moment.facts.counts() && !late) return {};
  const WorkMark mark("apply", row_bytes_);
  features::FeaturePartition& features = *moment.partition.features;
  if (!late) QW_TRY(features_.apply(features, moment.rows, moment.row, moment.facts));
  fail_point("pipeline.half_done");
  QW_TRY(failing_point("pipeline.half_done"));
  if (moment.source.decisions.empty() || moment.decided) return {};
  SourceRun& run = moment.run;
  run.reader.read_columns(moment.rows, moment.row, run.cells);
  const auto may = [&](size_t decision) {
    return decisions_[decision].decider.may_decide(run.cells);
  };
  if (std::ranges::none_of(moment.source.decisions, may)) return {};
  const features::ReadPoint point{moment.facts.event_time, moment.facts.seq};
  QW_TRY(run.reader.read(features, moment.rows, moment.row, point, run.cells, run.read));
  for (const size_t decision : moment.source.decisions) QW_TRY(decide(moment, decision));
  return {};
}

void Pipeline::log_event(const Moment& moment, std::string_view row_bytes) {
  std::string record;
  schema::encode_event(moment.facts, moment.run.schema_id, row_bytes, record);
  lane_.open().txn.append(store::Log::kEvents, moment.partition.id, moment.facts.seq, record);
  moment.partition.last = moment.facts.seq;
}

Result<void> Pipeline::decide(const Moment& moment, size_t decision) {
  DecisionRun& run = decisions_[decision];
  name_records(decision);
  const PartitionId stream = moment.partition.streams.at(decision);
  const serve::DecisionInput input{.rows = moment.rows,
                                   .row = moment.row,
                                   .partition = moment.partition.id,
                                   .stream = stream,
                                   .seq = moment.facts.seq,
                                   .as_of = moment.facts.event_time,
                                   .cells = moment.run.cells,
                                   .statuses = moment.run.read.statuses,
                                   .known = moment.run.read.known};
  QW_ASSIGN(const bool made, run.decider.decide(input, KnownAt{clock_.wall_us()}, run.decided));
  if (made) conclude(moment, decision, stream);
  return {};
}

void Pipeline::conclude(const Moment& moment, size_t decision, PartitionId stream) {
  DecisionRun& run = decisions_[decision];
  const schema::DecisionRecord& record = run.decided.record;
  store::PendingCommit& open = lane_.open();
  std::string bytes;
  schema::encode_decision(record, bytes);
  open.txn.append(store::Log::kDecisions, stream, record.event_seq, bytes);
  run.slot->decided(stream, record.event_seq);
  decisions_total_.add();
  DecisionSeen seen{
      record, decision, stream, run.decided.value, run.decided.threshold, run.decided.warm_up};
  if (plan_->decisions[decision].alert && says_something(decision, record)) {
    const monitor::Severity severity = severity_of(moment, decision);
    judge_wishes(moment, decision);
    seen.alerting =
        alerting_.observe(open, decision, stream, record, severity, seen.threshold, run.wishes);
  }
  for (Observer* observer : observers_) observer->on_decision(seen);
  send(moment, decision);
}

// Without a score there is no word on a series, not even that it is well.
bool Pipeline::says_something(size_t decision, const schema::DecisionRecord& record) const {
  const PlanDecision& planned = plan_->decisions[decision];
  const bool by_rows = planned.rules.empty() && !plan_->models[planned.model].engine;
  return !by_rows || std::isfinite(record.score);
}

monitor::Severity Pipeline::severity_of(const Moment& moment, size_t decision) {
  DecisionRun& run = decisions_[decision];
  const Cell word = run.severity->evaluate(moment.run.cells);
  if (word.null) return monitor::Severity::kNone;
  const auto known = monitor::parse_severity(word.text);
  if (!known.ok())
    metrics_
        .counter("quickwater_unknown_severities_total",
                 "Severities from a column that are none of info, warning, critical.",
                 {{"decision", plan_->decisions[decision].name}})
        .add();
  // A detector that is still learning has no opinion.
  if (!known.ok() || !run.decided.record.warm) return monitor::Severity::kNone;
  return *known;
}

void Pipeline::judge_wishes(const Moment& moment, size_t decision) {
  DecisionRun& run = decisions_[decision];
  const auto judge = [&](std::vector<Condition>& conditions, std::vector<bool>& wanted) {
    wanted.assign(conditions.size(), true);
    for (size_t index = 0; index < conditions.size(); ++index)
      if (conditions[index]) wanted[index] = conditions[index]->holds(moment.run.cells);
  };
  judge(run.sinks, run.wishes.sinks);
  judge(run.heals, run.wishes.heals);
}

void Pipeline::send(const Moment& moment, size_t decision) {
  const PlanDecision& planned = plan_->decisions[decision];
  DecisionRun& run = decisions_[decision];
  const schema::DecisionRecord& record = run.decided.record;
  const uint32_t partition = moment.partition.features->number;
  for (size_t index = 0; index < planned.sinks.size(); ++index) {
    const PlanSink& sink = planned.sinks[index];
    if (sink.file->send != Send::kDecisions) continue;
    if (run.sinks[index] && !run.sinks[index]->holds(moment.run.cells)) continue;
    streams::OutboxRow row;
    row.action_id = action_id(*plan_, decision, partition, record.event_seq);
    row.created_at_us = clock_.wall_us();
    row.key = record.key;
    if (!run.streams_of_rows[index].empty())
      row.origin = {run.streams_of_rows[index], partition, record.event_seq.value()};
    nlohmann::json body =
        decision_json(plan_->file.app.text, record, run.decider.schema(), run.decided.threshold);
    body["action_id"] = row.action_id;
    row.json = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    outboxes_.put(lane_.open(), sink.name, row);
  }
}

Result<void> Pipeline::tick(const std::function<bool(size_t source)>& behind) {
  const KnownAt now{clock_.wall_us()};
  store::PendingCommit& open = lane_.open();
  for (SourceRun& run : sources_) {
    run.gate->tick(now);
    run.gate->stage(open.txn);
  }
  const auto last_seq = [this](PartitionId stream) {
    for (const DecisionRun& run : decisions_)
      if (const auto found = run.slot->streams().find(stream); found != run.slot->streams().end())
        return found->second;
    return Seq{};
  };
  alerting_.tick(open, last_seq, behind);
  healing_.tick(open, now,
                [&](size_t decision) { return behind(plan_->decisions[decision].source); });
  for (size_t decision = 0; decision < decisions_.size(); ++decision) name_records(decision);
  return features_.sweep([this](size_t source, PartitionId partition) {
    return sources_[source].gate->watermark(partition);
  });
}

std::vector<PartitionProgress> Pipeline::progress() const {
  std::vector<PartitionProgress> all;
  for (size_t source = 0; source < sources_.size(); ++source)
    for (const auto& [number, partition] : sources_[source].partitions)
      all.push_back({source, number, sources_[source].gate->watermark(partition.id)});
  return all;
}

}  // namespace qw::app
