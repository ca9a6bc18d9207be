// Where the states of views go on after a stop.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/progress.h"
#include "features/online/feature_store.h"
#include "features/online/view_states.h"

namespace qw::features {
namespace {

Error placed(Error error, const std::string& source, Seq seq) {
  error.where = fmt::format("event log of {}, event {}", source, seq.value());
  return error;
}

}  // namespace

// Tells every view's table which events its checkpoints may miss, by key.
Result<void> FeatureStore::index_tail(FeaturePartition& partition, Seq last, EventTime watermark) {
  const SourceFeatures& source = features_of(partition);
  if (partition.views.empty()) return {};
  std::vector<Seq> low;
  for (const auto& table : partition.views) {
    QW_ASSIGN(const Seq seq, store::stored_low_water(store_, table->owner(), partition.id));
    low.push_back(seq);
  }
  const Seq from = next(*std::min_element(low.begin(), low.end()));
  QW_ASSIGN(const Seq kept, store_.scan_tail(store::Log::kEvents, partition.id, Seq{}, Seq{}, {}));
  if (from < kept) return rebuild(partition, low, last, watermark);
  Progress progress(fmt::format("reading the tail of {}/{}", source.name, partition.number),
                    next(last).value() - from.value());
  std::optional<Error> trouble;
  StoredRows rows(store_, source.schema, source.columns_of_views());
  QW_TRY(store_.scan(
      store::Log::kEvents, partition.id, from, next(last), [&](Seq seq, std::string_view record) {
        ++tail_read_;
        progress.add();
        const auto event = rows.of(record);
        if (!event.ok()) {
          trouble = placed(event.error(), source.name, seq);
          return false;
        }
        if (!event->facts.front().counts()) return true;
        for (size_t index = 0; index < partition.views.size(); ++index) {
          key_.clear();
          if (seq > low[index] && source.views[index].view->key_of(event->rows, 0, key_))
            partition.views[index]->add_pending(key_, seq);
        }
        return true;
      }));
  if (trouble) return *trouble;
  for (const auto& table : partition.views)
    QW_TRY(table->finish_recovery(clock_.monotonic_ns() / 1000));
  return {};
}

Result<void> FeatureStore::rebuild_from(FeaturePartition& partition,
                                        const schema::EventBatch& event, Seq seq) {
  if (!event.facts.front().counts()) return {};
  Source& source = sources_[partition.source];
  for (size_t index = 0; index < partition.views.size(); ++index) {
    key_.clear();
    if (!source.features->views[index].view->key_of(event.rows, 0, key_)) continue;
    QW_TRY(partition.views[index]->apply<ViewState>(
        key_, seq, clock_.monotonic_ns() / 1000, [&](ViewState& state) {
          state.rows().apply(source.workers[index], event.rows, 0, event.facts.front());
        }));
  }
  return {};
}

// A view that is new or was changed, when the beginning of the log is in segments.
Result<void> FeatureStore::rebuild(FeaturePartition& partition, const std::vector<Seq>& low,
                                   Seq last, EventTime watermark) {
  const SourceFeatures& source = features_of(partition);
  const Seq from = next(*std::min_element(low.begin(), low.end()));
  log::info("recovery", "views of {}/{} are built from the log", source.name, partition.number);
  QW_TRY(note_lost_events(partition, low, last, watermark));
  StoredRows rows(store_, source.schema, source.columns_of_views());
  Progress progress(fmt::format("building views of {}/{}", source.name, partition.number),
                    next(last).value() - from.value());
  const auto apply = [&](Seq seq, std::string_view record) -> Result<void> {
    progress.add();
    const auto event = rows.of(record);
    auto applied = event.ok() ? rebuild_from(partition, *event, seq) : Result<void>(event.error());
    if (!applied.ok()) return placed(applied.error(), source.name, seq);
    return applied;
  };
  QW_ASSIGN(const size_t read,
            checkpointer_.rebuild(partition.views, store::Log::kEvents, from, last, apply));
  tail_read_ += read;
  return {};
}

}  // namespace qw::features
