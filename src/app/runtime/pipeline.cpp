#include "app/runtime/pipeline.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/runtime/connect.h"
#include "app/runtime/decision_json.h"
#include "base/crash_watch.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "store/commit/meta_names.h"
#include "streams/decoders/decoder.h"

namespace qw::app {

using features::Cell;

Pipeline::Pipeline(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
                   store::Journal& journal, streams::Outboxes& outboxes, Healers& healing,
                   const Clock& clock, MetricRegistry& metrics, PipelineOptions options)
    : plan_(std::move(plan)),
      store_(store),
      lane_(lane),
      journal_(journal),
      outboxes_(outboxes),
      healing_(healing),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      view_memory_(std::make_shared<store::MemoryBudget>(options.view_memory_bytes)),
      model_memory_(std::make_shared<store::MemoryBudget>(options.model_memory_bytes)),
      computed_latency_(metrics.latency("quickwater_stage_latency_seconds",
                                        "From an event's arrival to the end of a stage.",
                                        {{"stage", "computed"}})),
      decisions_total_(metrics.counter("quickwater_decisions_total", "Decisions made.")),
      alerting_(*plan_, journal, outboxes, clock),
      sources_(plan_->sources.size()) {
  for (const PlanDecision& planned : plan_->decisions)
    decisions_.emplace_back(planned, plan_->sources[planned.source]);
  alerting_.listen([this](store::PendingCommit& open, size_t decision,
                          const monitor::AlertDetail& detail, const AlertWishes& wishes) {
    healing_.on_alert(open, decision, detail, wishes.heals);
  });
}

Pipeline::DecisionRun::DecisionRun(const PlanDecision& planned, const PlanSource& source) {
  const auto condition = [](const std::optional<features::Expression>& written) {
    return written ? Condition(*written) : Condition();
  };
  when = condition(planned.when);
  if (planned.alert) severity.emplace(planned.alert->severity);
  for (const NamedProgram& rule : planned.rules) rules.emplace_back(rule.expression);
  for (const NamedProgram& output : planned.outputs) outputs.emplace_back(output.expression);
  for (const PlanSink& sink : planned.sinks) {
    sinks.push_back(condition(sink.when));
    streams_of_rows.push_back(writes_with(source, *sink.file) ? stream_of(source) : "");
  }
  for (const PlanHeal& heal : planned.heals) heals.push_back(condition(heal.when));
}

Pipeline::~Pipeline() = default;

Result<void> Pipeline::accept(size_t index, streams::SourceBatch&& batch, int64_t arrived_ns) {
  SourceRun& run = sources_[index];
  store::PendingCommit& open = lane_.open();
  QW_ASSIGN(PartitionRun* const partition, this->partition(index, batch.partition));
  save_position(index, *partition, batch);
  const uint64_t decided_to = batch.decided_to;
  const bool gap = batch.gap;
  QW_ASSIGN(const streams::Gated gated,
            run.gate->admit(partition->id, std::move(batch), KnownAt{clock_.wall_us()}));
  bury(gated.dead_letters);
  note_gap(index, *partition, gap, gated.events.facts);
  for (size_t row = 0; row < gated.events.facts.size(); ++row) {
    const schema::EventFacts& facts = gated.events.facts[row];
    const Moment moment{run,   plan_->sources[index],          *partition, gated.events.rows, row,
                        facts, facts.seq.value() <= decided_to};
    if (!partition->loss_told && !moment.decided && facts.counts()) tell_gap(moment, index);
    QW_TRY(process(moment));
    computed_latency_.record_ns(clock_.monotonic_ns() - arrived_ns);
  }
  run.gate->stage(open.txn);
  if (gated.events.facts.empty()) return {};
  open.need(options_.event_durability);
  open.arrivals.emplace_back(arrived_ns, static_cast<uint32_t>(gated.events.facts.size()));
  return {};
}

void Pipeline::save_position(size_t source, PartitionRun& run, const streams::SourceBatch& batch) {
  if (batch.resume.empty()) return;
  sources_[source].saved[batch.partition] = batch.resume;
  lane_.open().txn.put_meta(
      store::meta::position(plan_->sources[source].name, run.source_partition), batch.resume);
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
  if (!late) QW_TRY(apply_views(moment));
  fail_point("pipeline.half_done");
  QW_TRY(failing_point("pipeline.half_done"));
  if (moment.source.decisions.empty() || moment.decided) return {};
  QW_TRY(fill_inputs(moment));
  for (const size_t decision : moment.source.decisions) QW_TRY(decide(moment, decision));
  return {};
}

void Pipeline::log_event(const Moment& moment, std::string_view row_bytes) {
  std::string record;
  schema::encode_event(moment.facts, moment.run.schema_id, row_bytes, record);
  lane_.open().txn.append(store::Log::kEvents, moment.partition.id, moment.facts.seq, record);
  moment.partition.last = moment.facts.seq;
}

Result<void> Pipeline::apply_views(const Moment& moment) {
  const int64_t now_us = clock_.monotonic_ns() / 1000;
  std::string key;
  for (size_t index = 0; index < moment.source.views.size(); ++index) {
    const features::View& view = *moment.source.views[index].view;
    key.clear();
    if (!view.key_of(moment.rows, moment.row, key)) continue;
    auto& worker = moment.run.views[index];
    auto applied = features::Applied::kIgnored;
    QW_TRY(moment.partition.views[index]->apply<ViewState>(
        key, moment.facts.seq, now_us, [&](ViewState& state) {
          applied = state.rows().apply(worker, moment.rows, moment.row, moment.facts);
        }));
    if (applied == features::Applied::kRejected) count_refused(view, key);
  }
  return {};
}

void Pipeline::count_refused(const features::View& view, std::string_view key) {
  qw::Counter& refused =
      metrics_.counter("quickwater_hot_key_events_total",
                       "Events that a view refused because their key has max_rows of them.",
                       {{"view", view.name()}});
  if (refused.value() == 0)
    log::warning("views",
                 "view {} refuses events of the key '{}', which has max_rows ({}) of them: windows "
                 "that lack some are null, with the status hot_key, as with every key after it",
                 view.name(), key, view.definition().max_rows);
  refused.add();
}

// Texts in the row point into the state, which somebody who reads other keys may drive out of
// memory before the decision is made.
void Pipeline::keep_texts(const features::View& view, features::FeatureRow& row,
                          std::vector<std::string>& texts) {
  texts.resize(row.cells.size());
  for (size_t at = 0; at < row.cells.size(); ++at) {
    if (row.cells[at].null || view.features()[at].type.kind != schema::Kind::kString) continue;
    texts[at] = row.cells[at].text;
    row.cells[at].text = texts[at];
  }
}

Result<void> Pipeline::fill_inputs(const Moment& moment) {
  SourceRun& run = moment.run;
  const PlanSource& source = moment.source;
  for (size_t column = 0; column < source.features_begin; ++column)
    run.cells[column] = features::cell_at(moment.rows.column(column), moment.row);
  size_t at = source.features_begin;
  std::string key;
  features::ReadPoint point{moment.facts.event_time, moment.facts.seq};
  for (size_t index = 0; index < source.views.size(); ++index) {
    const features::View& view = *source.views[index].view;
    features::FeatureRow& row = run.view_rows[index];
    key.clear();
    point.lost = moment.partition.lost[index];
    if (view.key_of(moment.rows, moment.row, key)) {
      QW_TRY(moment.partition.views[index]->with_state<ViewState>(key, [&](const ViewState& state) {
        state.rows().read(run.views[index], point, row);
        keep_texts(view, row, run.view_texts[index]);
      }));
      std::copy(row.cells.begin(), row.cells.end(), run.cells.begin() + static_cast<ptrdiff_t>(at));
    } else {
      std::fill_n(run.cells.begin() + static_cast<ptrdiff_t>(at), view.features().size(), Cell{});
      row.statuses.assign(view.features().size(), features::FeatureStatus::kPresent);
    }
    at += view.features().size();
  }
  for (size_t index = 0; index < source.derived.size(); ++index, ++at)
    run.cells[at] = run.derived[index].evaluate(std::span<const Cell>(run.cells).first(at));
  return {};
}

Result<void> Pipeline::decide(const Moment& moment, size_t decision) {
  const PlanDecision& planned = plan_->decisions[decision];
  DecisionRun& run = decisions_[decision];
  const auto inputs = std::span<const Cell>(moment.run.cells);
  if (run.when && !run.when->holds(inputs.first(planned.model_begin))) return {};
  schema::DecisionRecord record;
  if (!key_text(moment.rows, moment.row, planned.key_columns, record.key)) return {};
  const PartitionId stream = moment.partition.streams.at(decision);
  record.decision = planned.name;
  record.partition = moment.partition.id;
  record.event_seq = moment.facts.seq;
  record.as_of = moment.facts.event_time;
  record.decided_at = KnownAt{clock_.wall_us()};
  record.schema_id = run.schema_id;
  record.features.reserve(planned.model_begin - moment.source.features_begin);
  for (size_t at = moment.source.features_begin; at < planned.model_begin; ++at)
    record.features.push_back(features::value_of(inputs[at], planned.inputs->field(at).type.kind));
  for (const size_t at : planned.model_inputs)
    record.inputs.push_back(features::value_of(inputs[at], planned.inputs->field(at).type.kind));
  note_statuses(moment.run, record);
  DecisionSeen seen{record, decision, stream};
  QW_ASSIGN(const bool scored, score(moment, decision, stream, record, seen));
  if (scored) conclude(moment, decision, stream, record, seen);
  return {};
}

// Derived features have none of their own.
void Pipeline::note_statuses(const SourceRun& run, schema::DecisionRecord& record) {
  constexpr auto kPresent = features::FeatureStatus::kPresent;
  size_t at = 0;
  for (const features::FeatureRow& row : run.view_rows)
    for (const features::FeatureStatus status : row.statuses) {
      if (status != kPresent && record.statuses.empty())
        record.statuses.assign(record.features.size(), kPresent);
      if (status != kPresent) record.statuses[at] = status;
      ++at;
    }
}

Result<bool> Pipeline::score(const Moment& moment, size_t decision, PartitionId stream,
                             schema::DecisionRecord& record, DecisionSeen& seen) {
  const PlanDecision& planned = plan_->decisions[decision];
  DecisionRun& run = decisions_[decision];
  seen.threshold = seen.value = std::numeric_limits<double>::quiet_NaN();
  if (!run.champion) {
    evaluate_rules(moment, decision, record);
    return true;
  }
  const int64_t now_us = clock_.monotonic_ns() / 1000;
  const models::Observation observation = serve::observation_of(record);
  QW_ASSIGN(const auto answer,
            run.champion->score(stream, record.key, record.event_seq, now_us, observation));
  if (!answer) return false;  // decided before the crash, and durable
  if (run.challenger)
    QW_TRY(run.challenger->score(stream, record.key, record.event_seq, now_us, observation));
  if (run.tap != nullptr) {
    run.tap->full = run.tap->full || run.tap->decisions.size() >= DecisionTap::kMost;
    if (!run.tap->full)
      run.tap->decisions.push_back({stream, record.key, record.event_seq, observation});
  }
  record.score = answer->score;
  record.warm = answer->warm;
  record.served_by = run.served_by;
  const size_t members = run.champion->engine().members().size();
  record.contributions.assign(answer->contributions.begin(),
                              answer->contributions.begin() + static_cast<ptrdiff_t>(members));
  seen.value = observation.value;
  seen.threshold = run.champion->engine().threshold();
  seen.warm_up = answer->warm_up;
  auto& cells = moment.run.cells;
  cells[planned.model_begin] = Cell::of_double(record.score);
  cells[planned.model_begin + 1] = Cell::of_double(seen.threshold);
  cells[planned.model_begin + 2] = Cell::of_int(record.warm ? 1 : 0);
  return true;
}

void Pipeline::evaluate_rules(const Moment& moment, size_t decision,
                              schema::DecisionRecord& record) {
  const PlanDecision& planned = plan_->decisions[decision];
  auto& cells = moment.run.cells;
  const auto inputs = std::span<const Cell>(cells).first(planned.model_begin);
  for (size_t index = 0; index < planned.rules.size(); ++index) {
    const features::Expression& rule = planned.rules[index].expression;
    const Cell cell = decisions_[decision].rules[index].evaluate(inputs);
    cells[planned.model_begin + index] = cell;
    if (cell.null || (index > 0 && planned.rules[index].name != "score")) continue;
    if (rule.type().kind == schema::Kind::kDouble) record.score = cell.d;
    if (rule.type().kind == schema::Kind::kInt64) record.score = static_cast<double>(cell.i);
  }
  record.served_by = plan_->models[planned.model].name;
}

void Pipeline::conclude(const Moment& moment, size_t decision, PartitionId stream,
                        schema::DecisionRecord& record, DecisionSeen& seen) {
  const PlanDecision& planned = plan_->decisions[decision];
  DecisionRun& run = decisions_[decision];
  store::PendingCommit& open = lane_.open();
  auto& cells = moment.run.cells;
  for (size_t index = 0; index < planned.outputs.size(); ++index) {
    const size_t at = planned.outputs_begin + index;
    cells[at] = run.outputs[index].evaluate(std::span<const Cell>(cells).first(at));
    record.outputs.push_back(features::value_of(cells[at], planned.inputs->field(at).type.kind));
  }
  std::string bytes;
  schema::encode_decision(record, bytes);
  open.txn.append(store::Log::kDecisions, stream, record.event_seq, bytes);
  run.streams[stream] = record.event_seq;
  decisions_total_.add();

  if (planned.alert) {
    const Cell word = run.severity->evaluate(cells);
    auto severity = monitor::Severity::kNone;
    if (!word.null) {
      const auto known = monitor::parse_severity(word.text);
      if (known.ok())
        severity = *known;
      else
        metrics_
            .counter("quickwater_unknown_severities_total",
                     "Severities from a column that are none of info, warning, critical.",
                     {{"decision", planned.name}})
            .add();
    }
    if (!record.warm)
      severity = monitor::Severity::kNone;  // a detector that is still learning has no opinion
    judge_wishes(moment, decision);
    seen.alerting =
        alerting_.observe(open, decision, stream, record, severity, seen.threshold, run.wishes);
  }
  for (Observer* observer : observers_) observer->on_decision(seen);
  send(moment, decision, record);
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

void Pipeline::send(const Moment& moment, size_t decision, const schema::DecisionRecord& record) {
  const PlanDecision& planned = plan_->decisions[decision];
  DecisionRun& run = decisions_[decision];
  for (size_t index = 0; index < planned.sinks.size(); ++index) {
    const PlanSink& sink = planned.sinks[index];
    if (sink.file->send != Send::kDecisions) continue;
    if (run.sinks[index] && !run.sinks[index]->holds(moment.run.cells)) continue;
    const double threshold = run.champion ? run.champion->engine().threshold()
                                          : std::numeric_limits<double>::quiet_NaN();
    streams::OutboxRow row;
    row.action_id =
        action_id(*plan_, decision, moment.partition.source_partition, record.event_seq);
    row.created_at_us = clock_.wall_us();
    row.key = record.key;
    if (!run.streams_of_rows[index].empty())
      row.origin = {run.streams_of_rows[index], moment.partition.source_partition,
                    record.event_seq.value()};
    nlohmann::json body = decision_json(plan_->file.app.text, record, run.schema, threshold);
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
      if (const auto found = run.streams.find(stream); found != run.streams.end())
        return found->second;
    return Seq{};
  };
  alerting_.tick(open, last_seq, behind);
  healing_.tick(open, now,
                [&](size_t decision) { return behind(plan_->decisions[decision].source); });
  return sweep();
}

}  // namespace qw::app
