#include "features/online/feature_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "features/online/view_states.h"
#include "store/commit/meta_names.h"

namespace qw::features {

std::vector<size_t> SourceFeatures::columns_of_views() const {
  std::set<size_t> columns;
  for (const StoredView& view : views)
    columns.insert(view.view->columns().begin(), view.view->columns().end());
  return {columns.begin(), columns.end()};
}

FeatureReader::FeatureReader(const SourceFeatures& source) : source_(source) {
  for (const StoredView& view : source.views) workers_.emplace_back(view.view);
  for (const JoinedView& view : source.joined) workers_.emplace_back(view.definition);
  rows_.resize(workers_.size());
  texts_.resize(workers_.size());
  for (const Derived& derived : source.derived) derived_.emplace_back(derived.expression);
}

// Texts in the row point into the state, which somebody who reads other keys may drive out of
// memory before they are used.
void FeatureReader::look(size_t index, const KeyState& state, const ReadPoint& point) {
  FeatureRow& row = rows_[index];
  state.read(workers_[index], point, row);
  std::vector<std::string>& texts = texts_[index];
  texts.resize(row.cells.size());
  for (size_t at = 0; at < row.cells.size(); ++at) {
    if (row.cells[at].null || view(index).features()[at].type.kind != schema::Kind::kString)
      continue;
    texts[at] = row.cells[at].text;
    row.cells[at].text = texts[at];
  }
}

Result<void> FeatureReader::read_view(const FeaturePartition& partition, size_t index,
                                      const schema::Batch& rows, size_t row, ReadPoint point) {
  const size_t own = source_.views.size();
  const std::vector<size_t>& columns =
      index < own ? view(index).key_columns() : source_.joined[index - own].key_columns;
  key_.clear();
  if (View::key_of(rows, row, columns, key_))
    return index < own ? read_own(partition, index, point) : read_joined(partition, index, point);
  rows_[index].cells.assign(view(index).features().size(), Cell{});
  rows_[index].statuses.assign(view(index).features().size(), FeatureStatus::kPresent);
  return {};
}

Result<void> FeatureReader::read_own(const FeaturePartition& partition, size_t index,
                                     ReadPoint point) {
  const auto look_at = [&](const KeyState& state, const ReadPoint& at) { look(index, state, at); };
  QW_ASSIGN(const bool elsewhere,
            partition.entities[index]->read(partition, key_, point, look_at, of_view_));
  holders_.insert(of_view_.begin(), of_view_.end());
  if (elsewhere) return {};
  point.lost = partition.lost[index];
  return partition.views[index]->with_state<ViewState>(
      key_, [&](const ViewState& state) { look(index, state.rows(), point); });
}

// Of a key that nobody has seen all windows are empty.
Result<void> FeatureReader::read_joined(const FeaturePartition& partition, size_t index,
                                        ReadPoint point) {
  const ReadPoint at_that_time{.event_time = point.event_time};
  const auto look_at = [&](const KeyState& state, const ReadPoint& at) { look(index, state, at); };
  Entities& entities = *partition.joined[index - source_.views.size()];
  QW_ASSIGN(const bool seen, entities.read(key_, at_that_time, look_at, of_view_));
  holders_.insert(of_view_.begin(), of_view_.end());
  if (!seen) look(index, KeyState(view(index)), at_that_time);
  return {};
}

void FeatureReader::read_columns(const schema::Batch& rows, size_t row,
                                 std::span<Cell> cells) const {
  for (size_t column = 0; column < source_.features_begin; ++column)
    cells[column] = cell_at(rows.column(column), row);
}

Result<void> FeatureReader::read(const FeaturePartition& partition, const schema::Batch& rows,
                                 size_t row, ReadPoint point, std::span<Cell> cells,
                                 ReadFacts& facts) {
  size_t at = source_.features_begin;
  std::vector<FeatureStatus>& statuses = facts.statuses;
  statuses.clear();
  facts.known.clear();
  holders_.clear();
  for (size_t index = 0; index < workers_.size(); ++index) {
    const size_t count = view(index).features().size();
    QW_TRY(read_view(partition, index, rows, row, point));
    std::ranges::copy(rows_[index].cells, cells.begin() + static_cast<std::ptrdiff_t>(at));
    const std::vector<FeatureStatus>& of_view = rows_[index].statuses;
    const auto present = [](FeatureStatus status) { return status == FeatureStatus::kPresent; };
    if (!std::ranges::all_of(of_view, present)) {
      // Derived features have none of their own.
      statuses.resize(source_.inputs->size() - source_.features_begin, FeatureStatus::kPresent);
      std::ranges::copy(
          of_view, statuses.begin() + static_cast<std::ptrdiff_t>(at - source_.features_begin));
    }
    at += count;
  }
  for (Evaluator& derived : derived_) {
    cells[at] = derived.evaluate(cells.first(at));
    ++at;
  }
  if (holders_.empty()) return {};
  holders_.insert(&partition);
  for (const FeaturePartition* const holder : holders_)
    facts.known.emplace_back(holder->id, holder == &partition ? point.seq : *holder->last);
  std::ranges::sort(facts.known);
  return {};
}

FeatureStore::FeatureStore(std::vector<const SourceFeatures*> sources, store::Store& store,
                           store::Lane& lane, store::Checkpointer& checkpointer,
                           store::Journal& journal, const store::Partitions& partitions,
                           const Clock& clock, MetricRegistry& metrics, FeatureStoreOptions options)
    : store_(store),
      lane_(lane),
      checkpointer_(checkpointer),
      journal_(journal),
      partition_ids_(partitions),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      memory_(std::make_shared<store::MemoryBudget>(options.memory_bytes)),
      sources_(sources.size()) {
  for (size_t index = 0; index < sources.size(); ++index) {
    sources_[index].features = sources[index];
    for (size_t view = 0; view < sources[index]->views.size(); ++view) {
      const ViewPtr& of_source = sources[index]->views[view].view;
      sources_[index].workers.emplace_back(of_source);
      sources_[index].entities.push_back(std::make_unique<Entities>(of_source, view, memory_));
    }
  }
}

Result<FeaturePartition*> FeatureStore::open_partition(size_t source, uint32_t number,
                                                       PartitionId id, const Seq& last,
                                                       EventTime watermark) {
  const SourceFeatures& features = *sources_[source].features;
  FeaturePartition made;
  made.source = source;
  made.number = number;
  made.id = id;
  made.last = &last;
  for (const auto& entities : sources_[source].entities) made.entities.push_back(entities.get());
  for (const JoinedView& view : features.joined)
    made.joined.push_back(sources_[view.source].entities[view.view].get());
  for (const StoredView& view : features.views) {
    store::KeyedTableOptions options;
    options.owner = view.owner;
    options.partition = id;
    options.log = store::Log::kEvents;
    options.replay_max_us = checkpointer_.replay_max_us();
    options.memory = memory_;
    made.views.push_back(std::make_shared<store::KeyedTable>(
        store_, options, std::make_shared<ViewStateKind>(store_, view.view, features.schema)));
  }
  QW_TRY(restore(made));
  QW_TRY(index_tail(made, last, watermark));
  FeaturePartition* opened = nullptr;
  {
    const std::lock_guard lock(mutex_);
    opened = &sources_[source].partitions.emplace(number, std::move(made)).first->second;
  }
  if (const auto added = join(*opened); !added.ok()) {
    for (Entities* const entities : opened->entities) entities->remove(*opened);
    const std::lock_guard lock(mutex_);
    sources_[source].partitions.erase(number);
    return added.error();
  }
  for (const auto& table : opened->views) checkpointer_.add(table, last);
  return opened;
}

Result<void> FeatureStore::join(const FeaturePartition& partition) {
  for (Entities* const entities : partition.entities) QW_TRY(entities->add(partition));
  return {};
}

Result<void> FeatureStore::restore(FeaturePartition& partition) const {
  for (const auto& table : partition.views) {
    QW_ASSIGN(const auto lost, store_.get_meta(store::meta::lost(table->owner(), partition.id)));
    partition.lost.push_back(lost ? EventTime{std::stoll(*lost)} : FeaturePartition::kNone);
  }
  QW_ASSIGN(const auto gap, store_.get_meta(store::meta::gap(partition.id)));
  if (gap) partition.gap = EventTime{std::stoll(*gap)};
  reach_gap(partition);
  return {};
}

Result<void> FeatureStore::apply(FeaturePartition& partition, const schema::Batch& rows, size_t row,
                                 const schema::EventFacts& facts) {
  const int64_t now_us = clock_.monotonic_ns() / 1000;
  Source& source = sources_[partition.source];
  for (size_t index = 0; index < partition.views.size(); ++index) {
    const View& view = *source.features->views[index].view;
    key_.clear();
    if (!view.key_of(rows, row, key_)) continue;
    auto applied = Applied::kIgnored;
    EventTime missing = FeaturePartition::kNone;
    bool is_new = false;
    QW_TRY(partition.views[index]->apply<ViewState>(key_, facts.seq, now_us, [&](ViewState& state) {
      is_new = state.rows().is_new();
      applied = state.rows().apply(source.workers[index], rows, row, facts);
      missing = state.rows().missing();
    }));
    partition.entities[index]->followed(partition, key_, rows, row, facts, is_new, applied,
                                        missing);
    if (applied == Applied::kRejected) count_refused(view, key_);
  }
  return {};
}

void FeatureStore::count_refused(const View& view, std::string_view key) {
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

// The state may have to be read from disk: nobody else waits for that.
Result<FeatureAnswer> FeatureStore::read(const std::string& name, const std::string& key,
                                         EventTime as_of) const {
  FeatureAnswer answer;
  std::vector<std::shared_ptr<store::KeyedTable>> tables;  // by rank
  std::vector<EventTime> lost;
  {
    const std::lock_guard lock(mutex_);
    for (const Source& source : sources_)
      for (size_t index = 0; index < source.features->views.size() && !answer.view; ++index) {
        if (source.features->views[index].view->name() != name) continue;
        answer.view = source.features->views[index].view;
        for (const auto& [number, partition] : source.partitions) {
          tables.push_back(partition.views[index]);
          lost.push_back(partition.lost[index]);
        }
      }
  }
  if (!answer.view)
    return Error{ErrorCode::kNotFound, fmt::format("there is no view '{}'", name), "view", ""};
  KeyJoin join(*answer.view);
  ReadPoint point{.event_time = as_of};
  bool seen = false;
  for (size_t rank = 0; rank < tables.size(); ++rank) {
    const auto added = tables[rank]->with_state<ViewState>(
        key, [&](const ViewState& state) { join.add(rank, state.rows()); });
    if (!added.ok() && added.error().code != ErrorCode::kNotFound) return added.error();
    if (!added.ok()) continue;
    seen = true;
    point.lost = std::max(point.lost, lost[rank]);
  }
  if (!seen)
    return Error{ErrorCode::kNotFound,
                 fmt::format("view '{}' has seen no events of '{}'", name, key), "key", ""};
  const KeyState state = join.finish();
  ViewWorker worker(answer.view);
  FeatureRow row;
  state.read(worker, point, row);
  answer.statuses = row.statuses;
  for (size_t at = 0; at < row.cells.size(); ++at)
    answer.values.push_back(value_of(row.cells[at], answer.view->features()[at].type.kind));
  return answer;
}

}  // namespace qw::features
