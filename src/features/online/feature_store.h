// The features of every source while the program runs: their states per key, kept by the log of
// events, and what is read of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/result.h"
#include "features/online/entities.h"
#include "features/online/feature_partition.h"
#include "features/online/source_features.h"
#include "features/stream/key_state.h"
#include "schema/records.h"
#include "store/commit/checkpointer.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/commit/partitions.h"
#include "store/keyed_state.h"
#include "store/store.h"

namespace qw::features {

// What the states may hold, and for how long. A value. The limit of memory is soft: a state whose
// change is not on disk yet stays.
struct FeatureStoreOptions {
  int64_t state_ttl_us = 604'800'000'000;
  size_t memory_bytes = size_t{256} << 20;  // all views together
};

// The features of a key at a moment; what the page asks for.
struct FeatureAnswer {
  ViewPtr view;
  std::vector<schema::Value> values;  // in View::features() order
  std::vector<FeatureStatus> statuses;
};

// What a read says besides the values. A value.
struct ReadFacts {
  std::vector<FeatureStatus> statuses;  // of the features; empty: all are present
  // Up to which event of each partition features were made. Empty: of that of the event alone.
  std::vector<std::pair<PartitionId, Seq>> known;
};

// The features on the events of one source as one thread reads them. Working memory: make one per
// thread, keep it; the source outlives it.
class FeatureReader {
 public:
  explicit FeatureReader(const SourceFeatures& source);

  // The source's columns, at the beginning of `cells`. Texts are the row's.
  void read_columns(const schema::Batch& rows, size_t row, std::span<Cell> cells) const;
  // The features of the row, and up to it, behind the columns, which are there. Texts are good
  // until the next read. Errors are those of reading a state.
  Result<void> read(const FeaturePartition& partition, const schema::Batch& rows, size_t row,
                    ReadPoint point, std::span<Cell> cells, ReadFacts& facts);

 private:
  // Views are counted through: those of the source, then the joined ones.
  const View& view(size_t index) const { return workers_[index].view(); }
  Result<void> read_view(const FeaturePartition& partition, size_t index, const schema::Batch& rows,
                         size_t row, ReadPoint point);
  Result<void> read_own(const FeaturePartition& partition, size_t index, ReadPoint point);
  Result<void> read_joined(const FeaturePartition& partition, size_t index, ReadPoint point);
  void look(size_t index, const KeyState& state, const ReadPoint& point);

  const SourceFeatures& source_;
  std::vector<ViewWorker> workers_;  // by view
  std::vector<FeatureRow> rows_;
  std::vector<std::vector<std::string>> texts_;  // of rows_
  std::vector<Evaluator> derived_;
  std::string key_;
  Entities::Holders of_view_;
  std::set<const FeaturePartition*> holders_;
};

// Owns the states of all views. They change with the log of events: apply() and the calls on
// partitions come from the holder of the lane, in the log's order; read() from any thread. What a
// state needs to be read again after a crash is brought to disk by the Checkpointer. Sources,
// store, lane and checkpointer outlive it.
class FeatureStore {
 public:
  FeatureStore(std::vector<const SourceFeatures*> sources, store::Store& store, store::Lane& lane,
               store::Checkpointer& checkpointer, store::Journal& journal,
               const store::Partitions& partitions, const Clock& clock, MetricRegistry& metrics,
               FeatureStoreOptions options);

  // Finds what earlier plans left; before any partition.
  Result<void> open();
  // Indexes the tail of the partition's log; states catch up when they are touched. `last`: the
  // log's last event, which the caller moves on with each that it applies. Lives as long as the
  // store. kCorrupt, kUnsupported, kIo; then there is no such partition.
  Result<FeaturePartition*> open_partition(size_t source, uint32_t number, PartitionId id,
                                           const Seq& last, EventTime watermark);

  // The event enters every view of its source.
  Result<void> apply(FeaturePartition& partition, const schema::Batch& rows, size_t row,
                     const schema::EventFacts& facts);

  // Events were taken by others, or by nobody, before `behind`; an empty batch may follow one that
  // said so.
  void note_gap(FeaturePartition& partition, bool gap,
                const std::vector<schema::EventFacts>& behind);
  // Before the first decision behind a gap: what was read again may have made it whole.
  void tell_gap(FeaturePartition& partition, EventTime now);

  // About once a second: the end of states that nobody needs any more, of keys whose last event
  // left the last window, and of views that no plan has named for a while.
  using Watermark = std::function<EventTime(size_t source, PartitionId)>;
  Result<void> sweep(const Watermark& watermark);

  // kNotFound: no such view, or it has seen nothing of the key.
  Result<FeatureAnswer> read(const std::string& view, const std::string& key,
                             EventTime as_of) const;
  const store::MemoryBudget& memory() const { return *memory_; }
  // Records that a start found behind the checkpoints.
  size_t tail_read() const { return tail_read_; }

 private:
  struct Source {
    const SourceFeatures* features = nullptr;
    std::map<uint32_t, FeaturePartition> partitions;
    std::vector<ViewWorker> workers;                  // as SourceFeatures::views
    std::vector<std::unique_ptr<Entities>> entities;  // the same
  };
  const SourceFeatures& features_of(const FeaturePartition& partition) const {
    return *sources_[partition.source].features;
  }
  static Result<void> join(const FeaturePartition& partition);
  Result<void> restore(FeaturePartition& partition) const;
  Result<void> index_tail(FeaturePartition& partition, Seq last, EventTime watermark);
  Result<void> rebuild(FeaturePartition& partition, const std::vector<Seq>& low, Seq last,
                       EventTime watermark);
  Result<void> rebuild_from(FeaturePartition& partition, const schema::EventBatch& event, Seq seq);
  Result<void> note_lost_events(FeaturePartition& partition, const std::vector<Seq>& low, Seq last,
                                EventTime watermark);
  void reach_gap(FeaturePartition& partition) const;
  void tell_loss(const FeaturePartition& partition, size_t view, const char* why);
  void count_refused(const View& view, std::string_view key);
  Result<void> sweep_partition(FeaturePartition& partition, EventTime watermark);
  void sweep_owners();

  store::Store& store_;
  store::Lane& lane_;
  store::Checkpointer& checkpointer_;
  store::Journal& journal_;
  const store::Partitions& partition_ids_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  const FeatureStoreOptions options_;
  const std::shared_ptr<store::MemoryBudget> memory_;
  std::vector<Source> sources_;
  std::string key_;  // of the event in work
  size_t tail_read_ = 0;
  std::map<std::string, int64_t> unused_;  // owner of states -> seconds of running without its view
  // Guards the maps of partitions, and what they have lost, against read(); tables have their own
  // locks.
  mutable std::mutex mutex_;
};

}  // namespace qw::features
