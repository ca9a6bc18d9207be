// The ingest policy of one source: which events count, decided once and stored with them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "schema/records.h"
#include "streams/expectation.h"
#include "streams/seen_ids.h"
#include "streams/source.h"
#include "streams/watermark.h"

namespace qw::store {
class Store;
class Txn;
}  // namespace qw::store

namespace qw::streams {

// 1900-01-01 and 2200-01-01: event times outside are taken for broken.
constexpr int64_t kMinEventTimeUs = -2'208'988'800'000'000;
constexpr int64_t kMaxEventTimeUs = 7'258'118'400'000'000;

// What an event that is later than allowed gets besides its status: a decision (made by whoever
// takes the events), a line in the log only, or a dead letter.
enum class LateEvents : uint8_t { kLog, kDecide, kDeadLetter };

// What the Gate judges by. A value, moved into the Gate; Gate::make names what does not fit.
struct GateOptions {
  std::string source;
  std::shared_ptr<const schema::Schema> schema;
  std::string event_time;  // a timestamp column
  std::string event_id;    // a string or int64 column; empty: no deduplication
  int64_t allowed_lateness_us = 60'000'000;
  // Imported history has no arrival of its own that it could be late for: unless a lateness was
  // asked for, none of it is beyond.
  bool imported_is_late = true;
  LateEvents late = LateEvents::kLog;
  int64_t max_future_us = 60'000'000;
  int64_t dedup_horizon_us = 600'000'000;   // by known_at
  size_t dedup_memory_bytes = 100'000'000;  // what is beyond is looked up on disk
  int64_t idle_after_us = 0;                // 0: an idle partition's watermark stands still
  int64_t assumed_delay_us = 0;             // of imported history
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
  uint64_t late_buried = 0;  // of late_dropped
  uint64_t replayed = 0;     // positions at or below the last one: read again, ignored
};

// Decides facts. Deterministic: the same state, rows and known_at give the same facts.
//
// Order of the checks on a row: position already seen -> ignored; absurd event time, more than
// max_future ahead of known_at -> dead letter (no watermark moves); event_id seen within the
// horizon -> kDuplicate; an expectation that quarantines -> kQuarantined and a dead letter, that
// drops -> nothing remains, that nulls -> the cell; then the partition's Watermark: beyond the
// allowed lateness -> kLateDropped, behind it -> kLateRepaired, else kOk.
//
// Quarantined, dropped and dead events leave their event_id free: a corrected one may come.
//
// Owned by the pipeline, one thread at a time. restore() once before the first admit(); stage()
// puts what changed since the last stage() into the transaction that also holds the events.
class Gate {
 public:
  // kBadInput: a column that is missing or of the wrong type, a negative limit.
  static Result<Gate> make(GateOptions options);

  // `to_partition`: the application's number for this batch's partition. Fails when an id must be
  // looked up on a disk that cannot be read.
  Result<Gated> admit(PartitionId to_partition, SourceBatch&& batch, KnownAt known_at);

  // A tick of the journal: partitions without an event for idle_after have their watermark moved to
  // (tick - idle_after); ids past the horizon are forgotten.
  void tick(KnownAt now);

  // Before the first event: the least int64.
  EventTime watermark(PartitionId partition) const;
  Seq last_seq(PartitionId partition) const;
  const GateCounts& counts() const { return counts_; }
  const SeenIds& ids() const { return ids_; }

  // Durable state as named values; stage() and restore() carry them to and from the store's meta.
  StoredChanges take_changes();
  std::string meta_prefix() const;
  // Until then, and without restore(), all ids stay in memory.
  void look_up_with(SeenIds::Lookup lookup) { ids_.look_up_with(std::move(lookup)); }
  // kCorrupt when a value is damaged.
  Result<void> restore_value(std::string_view name, std::string_view value);

  void stage(store::Txn& txn);
  Result<void> restore(const store::Store& store);

 private:
  struct PartitionState {
    Watermark watermark;
    uint64_t last_seq = 0;
    int64_t last_known_us = INT64_MIN;
    bool dirty = false;
  };
  struct Row;

  explicit Gate(GateOptions options);
  Result<void> admit_row(PartitionId to_partition, PartitionState& state, const SourceBatch& batch,
                         size_t row, KnownAt known_at, Gated& out);
  Result<void> judge_row(Row& row, PartitionState& state, Gated& out);
  bool refuse_time(Row& row, Gated& out);
  Result<bool> seen_before(const Row& row, const PartitionState& state) const;
  bool meet_expectations(Row& row, bool& quarantined, Gated& out);
  bool crashed_before(const Row& row) const;
  schema::EventStatus decide(PartitionState& state, Row& row, Gated& out);
  int64_t history_us(const PartitionState& state) const;
  std::optional<EventIdHash> id_of(const SourceBatch& batch, size_t row) const;
  void bury(Row& row, std::string reason, Gated& out) const;

  GateOptions options_;
  size_t event_time_column_ = 0;
  std::optional<size_t> event_id_column_;
  std::vector<CompiledExpectation> expectations_;
  std::map<PartitionId, PartitionState> partitions_;
  SeenIds ids_;
  bool imported_ = false;  // ids age by the history's own time
  bool admitted_ = false;  // a batch came, so that imported_ is known
  GateCounts counts_;
};

}  // namespace qw::streams
