// The ingest policy of one source: which events count, decided once and stored with them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "schema/records.h"
#include "streams/expectation.h"
#include "streams/source.h"

namespace qw::store {
class Store;
class Txn;
}  // namespace qw::store

namespace qw::streams {

// 1900-01-01 and 2200-01-01: event times outside are taken for broken.
constexpr int64_t kMinEventTimeUs = -2'208'988'800'000'000;
constexpr int64_t kMaxEventTimeUs = 7'258'118'400'000'000;

// What the Gate judges by. A value, moved into the Gate; Gate::make names what does not fit.
struct GateOptions {
  std::string source;
  std::shared_ptr<const schema::Schema> schema;
  std::string event_time;  // a timestamp column
  std::string event_id;    // a string or int64 column; empty: no deduplication
  int64_t allowed_lateness_us = 0;
  int64_t max_future_us = 60'000'000;
  int64_t dedup_horizon_us = 600'000'000;  // by known_at
  size_t dedup_max_ids = 1'000'000;        // the oldest go first; about 90 bytes each
  int64_t idle_after_us = 0;               // 0: an idle partition's watermark stands still
  int64_t assumed_delay_us = 0;            // of imported history
  int64_t min_event_time_us = kMinEventTimeUs;
  int64_t max_event_time_us = kMaxEventTimeUs;
  std::vector<Expectation> expectations;
};

// What passed: rows to log and apply (facts.counts() tells which count), and what to bury.
struct Gated {
  schema::EventBatch events;
  std::vector<schema::DeadLetter> dead_letters;  // rejected by the source included
};

// How often each thing happened since the process began.
struct GateCounts {
  uint64_t ok = 0, late_repaired = 0, late_dropped = 0, duplicate = 0, quarantined = 0;
  uint64_t future = 0, absurd_time = 0, dropped = 0, nulled = 0, warned = 0, rejected = 0;
  uint64_t replayed = 0;             // positions at or below the last one: read again, ignored
  uint64_t ids_forgotten_early = 0;  // dedup_max_ids cut the horizon
};

// Decides facts. Deterministic: the same state, rows and known_at give the same facts.
//
// Order of the checks on a row: position already seen -> ignored; absurd event time, more than
// max_future ahead of known_at -> dead letter (no watermark moves); event_id seen within the
// horizon
// -> kDuplicate; an expectation that quarantines -> kQuarantined and a dead letter, that drops ->
// nothing remains, that nulls -> the cell; event_time < watermark - allowed_lateness ->
// kLateDropped; event_time < watermark -> kLateRepaired; else kOk. The watermark of a partition is
// the greatest event time of its events that count. So state may be folded for times strictly below
// watermark - allowed_lateness: no event there will count any more.
//
// Quarantined, dropped and dead events leave their event_id free: a corrected one may come.
//
// Owned by the pipeline, one thread at a time. restore() once before the first admit(); stage()
// puts what changed since the last stage() into the transaction that also holds the events.
class Gate {
 public:
  // kBadInput: a column that is missing or of the wrong type, a negative limit.
  static Result<Gate> make(GateOptions options);

  // `to_partition`: the application's number for this batch's partition.
  Gated admit(PartitionId to_partition, SourceBatch&& batch, KnownAt known_at);

  // A tick of the journal: partitions without an event for idle_after have their watermark moved to
  // (tick - idle_after); ids past the horizon are forgotten.
  void tick(KnownAt now);

  // Before the first event: the least int64.
  EventTime watermark(PartitionId partition) const;
  Seq last_seq(PartitionId partition) const;
  const GateCounts& counts() const { return counts_; }
  size_t ids_held() const { return ids_.size(); }

  // Durable state as named values; stage() and restore() carry them to and from the store's meta.
  struct Changes {
    std::vector<std::pair<std::string, std::string>> put;
    std::vector<std::string> erase;
  };
  Changes take_changes();
  std::string meta_prefix() const;
  // kCorrupt when a value is damaged.
  Result<void> restore_value(std::string_view name, std::string_view value);

  void stage(store::Txn& txn);
  Result<void> restore(const store::Store& store);

 private:
  struct PartitionState {
    int64_t watermark_us = INT64_MIN;
    uint64_t last_seq = 0;
    int64_t last_known_us = INT64_MIN;
    bool dirty = false;
  };
  struct IdKey {
    uint64_t high = 0, low = 0;
    friend bool operator==(const IdKey&, const IdKey&) = default;
  };
  struct IdKeyHash {
    size_t operator()(const IdKey& id) const noexcept { return id.low; }
  };
  struct Remembered {
    int64_t known_at_us = 0;
    uint64_t slice = 0;
  };
  // Ids that came one after the other; forgotten together. Stored as chunks, one per commit.
  struct Slice {
    uint64_t number = 0;
    int64_t first_known_us = INT64_MAX;
    int64_t last_known_us = INT64_MIN;
    std::vector<std::pair<IdKey, int64_t>> ids;  // with known_at
    std::vector<uint64_t> chunks;
    size_t staged = 0;  // ids[0, staged) are in chunks
  };
  struct Row;

  explicit Gate(GateOptions options);
  void admit_row(PartitionId to_partition, PartitionState& state, const SourceBatch& batch,
                 size_t row, KnownAt known_at, Gated& out);
  void judge_row(Row& row, PartitionState& state, Gated& out);
  bool refuse_time(Row& row, Gated& out);
  bool seen_before(const Row& row) const;
  bool meet_expectations(Row& row, bool& quarantined, Gated& out);
  bool crashed_before(const Row& row) const;
  schema::EventStatus decide(PartitionState& state, const Row& row);
  void remember(const IdKey& id, int64_t known_at_us);
  Slice& open_slice(int64_t known_at_us);
  void forget_before(int64_t known_at_us);
  void forget_oldest_slice();
  std::optional<IdKey> id_of(const SourceBatch& batch, size_t row) const;
  void bury(Row& row, std::string reason, Gated& out) const;

  GateOptions options_;
  size_t event_time_column_ = 0;
  std::optional<size_t> event_id_column_;
  std::vector<CompiledExpectation> expectations_;
  std::map<PartitionId, PartitionState> partitions_;
  std::unordered_map<IdKey, Remembered, IdKeyHash> ids_;
  std::deque<Slice> slices_;  // the oldest arrivals in front
  uint64_t next_slice_ = 1;
  uint64_t next_chunk_ = 1;
  bool imported_ = false;  // ids age by the history's own time
  std::vector<std::string> erase_;
  GateCounts counts_;
};

}  // namespace qw::streams
