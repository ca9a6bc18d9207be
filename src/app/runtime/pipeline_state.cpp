// The pipeline's durable side: where it goes on after a stop, and how its states reach the disk.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/runtime/connect.h"
#include "app/runtime/pipeline.h"
#include "app/runtime/record_names.h"
#include "app/runtime/stored_states.h"
#include "base/log.h"
#include "base/progress.h"
#include "store/commit/meta_names.h"
#include "store/schemas.h"
#include "store/segments/history.h"
#include "streams/decoders/time.h"

namespace qw::app {
namespace {

constexpr size_t kRebuiltAtOnce = 16'384;  // records between two checkpoints

Error placed(Error error, const std::string& source, Seq seq) {
  error.where = fmt::format("event log of {}, event {}", source, seq.value());
  return error;
}

}  // namespace

Result<void> Pipeline::open() {
  QW_TRY(partitions_.open(store_));
  QW_TRY(alerting_.open(store_));
  QW_TRY(healing_.open(store_, lane_.open()));
  for (size_t decision = 0; decision < decisions_.size(); ++decision)
    if (!plan_->models[plan_->decisions[decision].model].engine) name_records(decision);
  for (size_t source = 0; source < sources_.size(); ++source) QW_TRY(open_source(source));
  return find_unused();
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
  for (const PlanView& view : planned.views) run.views.emplace_back(view.view);
  run.view_rows.resize(planned.views.size());
  run.view_texts.resize(planned.views.size());
  for (const features::Derived& derived : planned.derived)
    run.derived.emplace_back(derived.expression);
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

void Pipeline::name_records(size_t decision) {
  DecisionRun& run = decisions_[decision];
  const models::LearningEngine* engine = run.champion ? &run.champion->engine() : nullptr;
  run.schema = decision_schema(*plan_, decision, engine);
  run.schema_id = store::stage_schema(run.schema, lane_.open().txn);
  alerting_.name_values(decision, run.schema);
}

streams::SavedPositions Pipeline::saved_positions(size_t source) const {
  return sources_[source].saved;
}

Result<Pipeline::PartitionRun*> Pipeline::partition(size_t source, uint32_t number) {
  SourceRun& run = sources_[source];
  if (const auto found = run.partitions.find(number); found != run.partitions.end())
    return &found->second;
  const PlanSource& planned = plan_->sources[source];
  store::PendingCommit& open = lane_.open();
  const std::string name = fmt::format("{}/{}", planned.name, number);
  PartitionRun made;
  made.source_partition = number;
  made.id = partitions_.id_of(name, open.txn);
  QW_ASSIGN(made.last, store_.last_seq(store::Log::kEvents, made.id));
  for (const PlanView& view : planned.views) {
    store::KeyedTableOptions options;
    options.owner = view.owner;
    options.partition = made.id;
    options.log = store::Log::kEvents;
    options.replay_max_us = options_.replay_max_us;
    options.memory = view_memory_;
    made.views.push_back(std::make_shared<store::KeyedTable>(
        store_, options, std::make_shared<ViewStateKind>(store_, view.view, planned.schema)));
  }
  for (const PlanView& view : planned.views) {
    QW_ASSIGN(const auto lost, store_.get_meta(store::meta::lost(view.owner, made.id)));
    made.lost.emplace_back(lost ? std::stoll(*lost) : std::numeric_limits<int64_t>::min());
  }
  QW_ASSIGN(const auto gap, store_.get_meta(store::meta::gap(made.id)));
  if (gap) made.gap = EventTime{std::stoll(*gap)};
  reach_gap(source, made);
  QW_TRY(index_tail(source, made));
  for (const size_t decision : planned.decisions) {
    const PartitionId stream =
        partitions_.id_of(fmt::format("{}@{}", plan_->decisions[decision].name, name), open.txn);
    made.streams[decision] = stream;
    alerting_.name_stream(decision, stream, number);
    QW_TRY(index_decisions(decision, stream));
  }
  const std::lock_guard lock(tables_mutex_);
  return &run.partitions.emplace(number, std::move(made)).first->second;
}

Result<Seq> Pipeline::low_water(const std::string& owner, PartitionId partition) const {
  return stored_low_water(store_, owner, partition);
}

// Tells every view's table which events its checkpoints may miss, by key.
Result<void> Pipeline::index_tail(size_t source, PartitionRun& run) {
  const PlanSource& planned = plan_->sources[source];
  if (run.views.empty()) return {};
  std::vector<Seq> low;
  for (const PlanView& view : planned.views) {
    QW_ASSIGN(const Seq seq, low_water(view.owner, run.id));
    low.push_back(seq);
  }
  const Seq from = next(*std::min_element(low.begin(), low.end()));
  QW_ASSIGN(const Seq kept, store_.scan_tail(store::Log::kEvents, run.id, Seq{}, Seq{}, {}));
  if (from < kept) return rebuild_views(source, run, low);
  Progress progress(fmt::format("reading the tail of {}/{}", planned.name, run.source_partition),
                    next(run.last).value() - from.value());
  std::optional<Error> trouble;
  std::string key;
  StoredRows rows(store_, planned.schema, columns_of_views(planned));
  QW_TRY(store_.scan(
      store::Log::kEvents, run.id, from, next(run.last), [&](Seq seq, std::string_view record) {
        ++tail_read_;
        progress.add();
        const auto event = rows.of(record);
        if (!event.ok()) {
          trouble = placed(event.error(), planned.name, seq);
          return false;
        }
        if (!event->facts.front().counts()) return true;
        for (size_t index = 0; index < run.views.size(); ++index) {
          key.clear();
          if (seq > low[index] && planned.views[index].view->key_of(event->rows, 0, key))
            run.views[index]->add_pending(key, seq);
        }
        return true;
      }));
  if (trouble) return *trouble;
  for (const auto& table : run.views) QW_TRY(table->finish_recovery(clock_.monotonic_ns() / 1000));
  return {};
}

// A view that is new or was changed, when the beginning of the log is in segments: reads events as
// one stream, because reading each key's own from files would take for ever.
Result<void> Pipeline::rebuild_views(size_t source, PartitionRun& run,
                                     const std::vector<Seq>& low) {
  const PlanSource& planned = plan_->sources[source];
  Seq from = next(*std::min_element(low.begin(), low.end()));
  log::info("recovery", "views of {}/{} are built from the log", planned.name,
            run.source_partition);
  QW_TRY(note_lost_events(source, run, low));
  for (const auto& table : run.views) QW_TRY(table->finish_recovery(clock_.monotonic_ns() / 1000));
  store::History history(store_);
  std::vector<features::ViewWorker>& workers = sources_[source].views;
  StoredRows rows(store_, planned.schema, columns_of_views(planned));
  Progress progress(fmt::format("building views of {}/{}", planned.name, run.source_partition),
                    next(run.last).value() - from.value());
  const auto apply = [&](Seq seq, std::string_view record) -> Result<void> {
    progress.add();
    QW_ASSIGN(const schema::EventBatch event, rows.of(record));
    if (!event.facts.front().counts()) return {};
    std::string key;
    for (size_t index = 0; index < run.views.size(); ++index) {
      const features::View& view = *planned.views[index].view;
      key.clear();
      if (!view.key_of(event.rows, 0, key)) continue;
      QW_TRY(run.views[index]->apply<ViewState>(
          key, seq, clock_.monotonic_ns() / 1000, [&](ViewState& state) {
            state.rows().apply(workers[index], event.rows, 0, event.facts.front());
          }));
    }
    return {};
  };
  while (from <= run.last) {
    size_t read = 0;
    Result<void> applied;
    QW_TRY(history.scan(store::Log::kEvents, run.id, from, next(run.last),
                        [&](Seq seq, std::string_view record) {
                          applied = apply(seq, record);
                          if (!applied.ok()) applied = placed(applied.error(), planned.name, seq);
                          from = next(seq);
                          return applied.ok() && ++read < kRebuiltAtOnce;
                        }));
    QW_TRY(applied);
    tail_read_ += read;
    if (read == 0) from = next(run.last);
    for (size_t index = 0; index < run.views.size(); ++index)
      QW_TRY(checkpoint_now(run.views[index], planned.views[index].owner, run.id,
                            Seq{from.value() - 1}));
  }
  return {};
}

// The same for a version whose states are not on disk.
Result<void> Pipeline::rebuild_version(serve::LearningVersion& version, PartitionId stream,
                                       Seq from, Seq last) {
  log::info("recovery", "{} learns from the log", version.owner());
  const auto& table = version.tables().at(stream);
  QW_TRY(table->finish_recovery(clock_.monotonic_ns() / 1000));
  store::History history(store_);
  Progress progress(fmt::format("{} learns", version.owner()), next(last).value() - from.value());
  while (from <= last) {
    size_t read = 0;
    Result<void> learned;
    QW_TRY(history.scan(
        store::Log::kDecisions, stream, from, next(last), [&](Seq seq, std::string_view bytes) {
          progress.add();
          const auto record = schema::decode_decision(bytes);
          if (!record.ok()) learned = record.error();
          if (!record.ok()) return false;
          const auto observation = version.observation_in(*record);
          if (!observation.ok()) learned = observation.error();
          if (observation.ok() && *observation) {
            const auto score = version.score(stream, record->key, seq, clock_.monotonic_ns() / 1000,
                                             **observation);
            if (!score.ok()) learned = score.error();
          }
          from = next(seq);
          return learned.ok() && ++read < kRebuiltAtOnce;
        }));
    QW_TRY(learned);
    tail_read_ += read;
    if (read == 0) from = next(last);
    QW_TRY(checkpoint_now(table, version.owner(), stream, Seq{from.value() - 1}));
  }
  return {};
}

Result<void> Pipeline::checkpoint_now(const std::shared_ptr<store::KeyedTable>& table,
                                      const std::string& owner, PartitionId partition, Seq head) {
  store::Txn txn;
  QW_ASSIGN(const store::CheckpointPass pass,
            table->checkpoint_some(txn, store::KeyedTable::kAllAreDue, SIZE_MAX));
  txn.put_meta(store::meta::low_water(owner, partition),
               std::to_string(table->low_water(head).value()));
  QW_TRY(store_.commit(txn, store::Durability::kProcess));
  table->committed(pass.ticket);
  return {};
}

Result<void> Pipeline::index_decisions(size_t decision, PartitionId stream) {
  DecisionRun& run = decisions_[decision];
  QW_ASSIGN(run.streams[stream], store_.last_seq(store::Log::kDecisions, stream));
  if (run.champion) QW_TRY(index_version(*run.champion, stream));
  if (run.challenger) QW_TRY(index_version(*run.challenger, stream));
  return {};
}

Result<void> Pipeline::index_version(serve::LearningVersion& version, PartitionId stream) {
  store::KeyedTable& table = version.add_stream(stream);
  QW_ASSIGN(const Seq low, low_water(version.owner(), stream));
  QW_ASSIGN(const Seq last, store_.last_seq(store::Log::kDecisions, stream));
  QW_ASSIGN(const Seq kept, store_.scan_tail(store::Log::kDecisions, stream, Seq{}, Seq{}, {}));
  if (next(low) < kept) return rebuild_version(version, stream, next(low), last);
  std::optional<Error> trouble;
  QW_TRY(store_.scan(store::Log::kDecisions, stream, next(low), next(last),
                     [&](Seq seq, std::string_view record) {
                       ++tail_read_;
                       const auto key = schema::decision_key(record);
                       if (!key.ok()) {
                         trouble = key.error();
                         return false;
                       }
                       table.add_pending(*key, seq);
                       return true;
                     }));
  if (trouble) return *trouble;
  return table.finish_recovery(clock_.monotonic_ns() / 1000);
}

serve::LearningOptions Pipeline::learning_options(size_t decision) const {
  const PlanDecision& planned = plan_->decisions[decision];
  serve::LearningOptions options;
  options.decision = planned.name;
  options.model = plan_->models[planned.model].name;
  options.input = input_definition(*plan_, decision);
  options.replay_max_us = options_.replay_max_us;
  options.memory = model_memory_;
  return options;
}

Result<void> Pipeline::install_champion(size_t decision,
                                        std::unique_ptr<serve::LearningVersion> version) {
  store::Txn txn;
  QW_ASSIGN(const bool anew, stage_definition(*version, txn));
  // What was measured of other scores says nothing of these.
  if (anew) txn.erase_meta(store::meta::drift(plan_->decisions[decision].name));
  if (anew)
    log::warning("recovery",
                 "{}: the model is defined in another way than what its states were made by; they "
                 "are learned anew from the log of decisions",
                 version->owner());
  if (!txn.empty()) QW_TRY(store_.commit(txn, store::Durability::kProcess));
  for (const auto& [stream, last] : decisions_[decision].streams)
    QW_TRY(index_version(*version, stream));
  const std::lock_guard lock(tables_mutex_);
  DecisionRun& run = decisions_[decision];
  run.served_by = fmt::format("{}@{}", plan_->models[plan_->decisions[decision].model].name,
                              version->version());
  run.champion = std::move(version);
  name_records(decision);
  return {};
}

void Pipeline::install_challenger(size_t decision,
                                  std::unique_ptr<serve::LearningVersion> version) {
  const std::lock_guard lock(tables_mutex_);
  decisions_[decision].challenger = std::move(version);
}

std::unique_ptr<serve::LearningVersion> Pipeline::swap_challenger(size_t decision) {
  const std::lock_guard lock(tables_mutex_);
  DecisionRun& run = decisions_[decision];
  QW_ASSERT(run.challenger != nullptr);
  std::swap(run.champion, run.challenger);
  run.served_by = fmt::format("{}@{}", plan_->models[plan_->decisions[decision].model].name,
                              run.champion->version());
  name_records(decision);
  return std::move(run.challenger);
}

std::map<PartitionId, Seq> Pipeline::streams_of(size_t decision) const {
  return decisions_[decision].streams;
}

Result<size_t> Pipeline::checkpoint_table(const std::shared_ptr<store::KeyedTable>& table,
                                          const std::string& owner, PartitionId partition, Seq head,
                                          bool all, bool& late) {
  store::PendingCommit& open = lane_.open();
  const int64_t now_us = all ? store::KeyedTable::kAllAreDue : clock_.monotonic_ns() / 1000;
  const size_t budget = all || checkpoints_late_ ? options_.checkpoint_catch_up_bytes
                                                 : options_.checkpoint_budget_bytes;
  QW_ASSIGN(const store::CheckpointPass pass, table->checkpoint_some(open.txn, now_us, budget));
  late |= pass.behind_us > options_.replay_max_us / 20;
  if (pass.states == 0) return pass.left;
  open.txn.put_meta(store::meta::low_water(owner, partition),
                    std::to_string(table->low_water(head).value()));
  open.then.push_back([table, ticket = pass.ticket] { table->committed(ticket); });
  return pass.left;
}

Result<void> Pipeline::checkpoint_version(serve::LearningVersion& version,
                                          const std::map<PartitionId, Seq>& heads) {
  bool late = false;
  for (const auto& [stream, table] : version.tables())
    QW_TRY(checkpoint_table(table, version.owner(), stream, heads.at(stream), /*all=*/true, late));
  return {};
}

Result<bool> Pipeline::stage_definition(const serve::LearningVersion& version,
                                        store::Txn& txn) const {
  QW_ASSIGN(const StatesAre states, states_of(store_, version));
  if (states == StatesAre::kAnothers) {
    QW_ASSIGN(const auto low_waters, stored_low_waters(store_, version.owner()));
    txn.erase_owner(version.owner());
    for (const auto& [stream, low] : low_waters)
      txn.erase_meta(store::meta::low_water(version.owner(), stream));
  }
  QW_ASSIGN(const auto stored, store_.get_meta(store::meta::definition(version.owner())));
  if (stored != definition_of(version))
    txn.put_meta(store::meta::definition(version.owner()), definition_of(version));
  return states == StatesAre::kAnothers;
}

void Pipeline::erase_version(const serve::LearningVersion& version) {
  store::PendingCommit& open = lane_.open();
  open.txn.erase_owner(version.owner());
  open.txn.erase_meta(store::meta::definition(version.owner()));
  for (const auto& [stream, table] : version.tables())
    open.txn.erase_meta(store::meta::low_water(version.owner(), stream));
}

template <class Visit>
Result<void> Pipeline::each_table(const Visit& visit) {
  for (size_t source = 0; source < sources_.size(); ++source)
    for (auto& [number, partition] : sources_[source].partitions)
      for (size_t index = 0; index < partition.views.size(); ++index)
        QW_TRY(visit(partition.views[index], plan_->sources[source].views[index].owner,
                     partition.id, partition.last));
  for (DecisionRun& run : decisions_)
    for (auto* version : {run.champion.get(), run.challenger.get()}) {
      if (version == nullptr) continue;
      for (const auto& [stream, table] : version->tables())
        QW_TRY(visit(table, version->owner(), stream, run.streams[stream]));
    }
  return {};
}

Result<std::optional<Seq>> Pipeline::settle(PartitionId wanted) {
  std::optional<Seq> settled;
  store::PendingCommit& open = lane_.open();
  QW_TRY(each_table([&](const std::shared_ptr<store::KeyedTable>& table, const std::string& owner,
                        PartitionId partition, Seq head) -> Result<void> {
    if (partition != wanted) return {};
    const Seq low = table->low_water(head);
    settled = settled ? std::min(*settled, low) : low;
    open.txn.put_meta(store::meta::low_water(owner, partition), std::to_string(low.value()));
    return {};
  }));
  return settled;
}

Result<size_t> Pipeline::checkpoint(bool all) {
  size_t left = 0;
  bool late = false;
  QW_TRY(each_table([&](const std::shared_ptr<store::KeyedTable>& table, const std::string& owner,
                        PartitionId partition, Seq head) -> Result<void> {
    QW_ASSIGN(const size_t of_table, checkpoint_table(table, owner, partition, head, all, late));
    left += of_table;
    return {};
  }));
  checkpoints_late_ = late;
  return left;
}

Pipeline::Tail Pipeline::tail() {
  Tail tail{tail_read_, 0};
  const auto counted = each_table(
      [&](const std::shared_ptr<store::KeyedTable>& table, const std::string&, PartitionId, Seq) {
        tail.to_replay += table->stats().pending_records;
        return Result<void>();
      });
  QW_ASSERT(counted.ok());
  return tail;
}

std::map<std::string, StateLag> Pipeline::state_lags() {
  std::map<std::string, StateLag> lags;
  const auto visited =
      each_table([&](const std::shared_ptr<store::KeyedTable>& table, const std::string& owner,
                     PartitionId, Seq head) -> Result<void> {
        const store::KeyedTable::Stats stats = table->stats();
        StateLag& lag = lags[owner];
        const Seq low = table->low_water(head);
        lag.events += head > low ? head.value() - low.value() : 0;
        lag.dirty += stats.dirty;
        lag.catching_up += stats.pending_keys;
        return {};
      });
  QW_ASSERT(visited.ok());
  return lags;
}

std::vector<std::shared_ptr<store::KeyedTable>> Pipeline::cold_tables() {
  std::vector<std::shared_ptr<store::KeyedTable>> cold;
  const auto visited = each_table([&](const std::shared_ptr<store::KeyedTable>& table,
                                      const std::string&, PartitionId, Seq) -> Result<void> {
    if (table->stats().pending_keys > 0) cold.push_back(table);
    return {};
  });
  QW_ASSERT(visited.ok());
  return cold;
}

std::vector<PartitionProgress> Pipeline::progress() const {
  std::vector<PartitionProgress> all;
  for (size_t source = 0; source < sources_.size(); ++source)
    for (const auto& [number, partition] : sources_[source].partitions)
      all.push_back({source, number, sources_[source].gate->watermark(partition.id)});
  return all;
}

Result<FeatureAnswer> Pipeline::read_features(const std::string& name, const std::string& key,
                                              EventTime as_of) const {
  const std::lock_guard lock(tables_mutex_);
  for (size_t source = 0; source < sources_.size(); ++source) {
    const PlanSource& planned = plan_->sources[source];
    for (size_t index = 0; index < planned.views.size(); ++index) {
      if (planned.views[index].view->name() != name) continue;
      FeatureAnswer answer;
      answer.view = planned.views[index].view;
      features::ViewWorker worker(answer.view);
      features::FeatureRow row;
      for (const auto& [number, partition] : sources_[source].partitions) {
        const EventTime lost = partition.lost[index];
        const auto read =
            partition.views[index]->with_state<ViewState>(key, [&](const ViewState& state) {
              state.rows().read(worker, {.event_time = as_of, .lost = lost}, row);
              answer.statuses = row.statuses;
              for (size_t at = 0; at < row.cells.size(); ++at)
                answer.values.push_back(
                    features::value_of(row.cells[at], answer.view->features()[at].type.kind));
            });
        if (read.ok()) return answer;
        if (read.error().code != ErrorCode::kNotFound) return read.error();
      }
      return Error{ErrorCode::kNotFound,
                   fmt::format("view '{}' has seen no events of '{}'", name, key), "key", ""};
    }
  }
  return Error{ErrorCode::kNotFound, fmt::format("there is no view '{}'", name), "view", ""};
}

EventTime Pipeline::watermark_of(size_t source) const {
  EventTime newest{std::numeric_limits<int64_t>::min()};
  for (const auto& [number, partition] : sources_[source].partitions)
    newest = std::max(newest, sources_[source].gate->watermark(partition.id));
  return newest;
}

}  // namespace qw::app
