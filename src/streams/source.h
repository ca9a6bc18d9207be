// How events come in: a source is pulled for batches of rows, and told what became durable.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/metrics.h"
#include "base/result.h"
#include "schema/batch.h"

namespace qw::streams {

// A record that could not be decoded; the pipeline makes a schema::DeadLetter of it.
struct Rejected {
  std::string position;  // where in the source: "file.csv:17", "tx[3]@4711"
  std::string reason;    // the column and what was found in it
  std::string raw;       // as it came, at most schema::kDeadLetterRawBytes
};

// What became of the rows of a batch, in their order, for a source that answers whoever sent them.
// Written by the gate while the batch is taken in; read once committed() was told of the batch.
struct Receipt {
  enum class Fate : uint8_t { kAccepted, kLate, kDuplicate, kDropped, kDead };
  struct Row {
    Fate fate = Fate::kAccepted;
    std::string reason;  // kDead: why
  };
  std::vector<Row> rows;
};

// Rows of one partition, in the source's order.
struct SourceBatch {
  explicit SourceBatch(std::shared_ptr<const schema::Schema> schema) : rows(std::move(schema)) {}

  uint32_t partition = 0;  // the source's own number, stable across restarts
  schema::Batch rows;      // the source's schema, the event-time column included
  // Per row, strictly growing from 1: the source's own positions. Empty: the gate numbers the rows.
  std::vector<uint64_t> positions;
  // The place after the last record read (rejected ones included). Opaque; saved in the same commit
  // as the rows, given back to open(). Empty: nothing to save (the source cannot replay).
  std::string resume;
  std::vector<Rejected> rejected;
  // Rows up to this position were decided by somebody else who had the partition: they are taken in
  // for what is remembered of them, and not decided again.
  uint64_t decided_to = 0;
  // Per row, wall clock: when it was there to be read, where that may be long ago and should count
  // as its arrival. Empty: now.
  std::vector<int64_t> arrived_us;
  // Rows before the first of these were taken in by somebody else, or by nobody: what is remembered
  // of this partition lacks them.
  bool gap = false;
  // The rows are history: their known_at is event_time + the gate's assumed delay.
  bool imported = false;
  // When the rows came into the process (monotonic ns); 0: when poll() returned. Latencies begin
  // here.
  int64_t arrived_ns = 0;
  std::shared_ptr<Receipt> receipt;  // null: nobody asks

  bool empty() const { return rows.rows() == 0 && rejected.empty() && resume.empty(); }
};

// Partition -> the `resume` of its last durable batch. Empty at the first start.
using SavedPositions = std::map<uint32_t, std::string>;

enum class SourceState : uint8_t { kStarting, kRunning, kWaiting, kFinished, kClosed };
std::string_view name_of(SourceState state);

// How a source is doing; for health, `doctor` and the page.
struct SourceStatus {
  SourceState state = SourceState::kStarting;
  std::string detail;            // one line for a person: "tailing 3 files", "2 of 4 partitions"
  std::optional<Error> trouble;  // what it waits for; it goes on trying by itself
  int64_t retry_at_us = 0;       // wall clock of the next try, 0: none planned
  uint64_t rows = 0;
  uint64_t rejected = 0;
  std::map<uint32_t, int64_t> lag_records;  // by partition, where the source knows it
  // Of a source whose partitions are shared with others: those that are ours now.
  std::optional<std::set<uint32_t>> owned;
  int64_t rebuilding = 0;    // records that are still to be read for what is remembered of them
  uint64_t missed = 0;       // records that were removed before they were read
  uint64_t places_lost = 0;  // saved places that were of other records
  std::string last_gap;      // what was said of the last of these
};

// What a source may ask of the pipeline that runs it. Implemented by the application; outlives the
// source. All are called on the thread that is inside poll() or close(), never from elsewhere.
class SourceHost {
 public:
  virtual ~SourceHost() = default;
  // Blocks until every event of these partitions that was handed on is durable and committed() was
  // told, or the deadline passed (kTimeout); and, while time is left, until delivered() has come as
  // far.
  virtual Result<void> flush(std::span<const uint32_t> partitions, int64_t timeout_ms) = 0;
  // These partitions now belong to somebody else and the right to commit them is gone: what is not
  // durable yet is best discarded. Another owner reads it again under the same positions.
  virtual void lost(std::span<const uint32_t> partitions) = 0;
  // The last `resume` that committed() was told of, or was saved before the start, behind which
  // nothing of the partition waits for the sinks that write with the source. Nothing: not known.
  virtual std::optional<std::string> delivered(uint32_t /*partition*/) { return std::nullopt; }
};

// One configured source. Made by make_source(), owned by the application. open(), poll() and
// close() are called by one thread; committed() and status() from any thread. A peer that is away
// is not an error: poll() returns an empty batch, status() says kWaiting, and the source tries
// again with backoff. An error from poll() ends the source (a broken promise of the configuration:
// a file that is not readable, a topic that is not permitted).
class Source {
 public:
  virtual ~Source() = default;
  virtual const std::shared_ptr<const schema::Schema>& schema() const = 0;
  // Takes up where `saved` ends. `host` must outlive the source.
  virtual Result<void> open(const SavedPositions& saved, SourceHost& host) = 0;
  // The next rows of one partition; an empty batch when none came within `wait_us`. At most
  // kMaxBatchRows rows. Not called while the pipeline is full: that is the backpressure, and the
  // source keeps what it must (Kafka pauses, HTTP answers 429, files wait, host samples are
  // skipped and counted).
  virtual Result<SourceBatch> poll(int64_t wait_us) = 0;
  // Whether all that was there when poll() last returned has been handed out. As long as it is not,
  // a key of which nothing is heard may only wait here. Same thread as poll().
  virtual bool caught_up() const { return true; }
  // Called about ten times a second instead of poll() while the pipeline is full, on the same
  // thread: keeps the peer's patience (Kafka: answers rebalances) without giving rows.
  virtual void serve() {}
  // Everything of this partition up to `resume` is durable. For a source whose batches carry no
  // `resume` the value is empty and each call means: one more batch, in poll() order.
  virtual void committed(uint32_t partition, const std::string& resume) = 0;
  virtual SourceStatus status() const = 0;
  // Stops reading and lets go of the peer. The caller has flushed before. Idempotent.
  virtual void close() = 0;
};

constexpr size_t kMaxBatchRows = 4096;

}  // namespace qw::streams
