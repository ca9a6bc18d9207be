// Delivers one sink's outbox rows, in order, through every trouble of the receiver.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/result.h"
#include "schema/records.h"
#include "streams/sink.h"

namespace qw::store {
class Store;
class Txn;
}  // namespace qw::store

namespace qw::streams {

enum class OnFull : uint8_t { kPause, kDropCounted };
Result<OnFull> parse_on_full(std::string_view text);  // "pause", "drop_counted"

// How patient the delivery is. A value.
struct OutboxOptions {
  std::string sink;  // the outbox's name
  int64_t first_backoff_ms = 100;
  int64_t max_backoff_ms = 30'000;
  // A row that failed for so long is given up; 0: never. Counted from its first failure, while the
  // process runs: neither the wall clock nor time away has a part in it.
  int64_t deadline_ms = 24 * 3'600'000;
  uint64_t attempts_max = 0;    // of one row; then it is given up; 0: any
  int failures_to_open = 5;     // in a row: the circuit counts as open
  uint64_t max_rows = 100'000;  // waiting; more: on_full
  OnFull on_full = OnFull::kPause;
};

// What the worker needs of the application. Implemented there, outlives the worker.
class OutboxHost {
 public:
  virtual ~OutboxHost() = default;
  // Makes what `stage` adds to a transaction durable, together with these journal records
  // ("delivery_refused", "delivery_expired", "delivery_failed": sink, action_id, reason). Any
  // thread; blocks until done. On an error nothing of it happened; the worker tries again.
  using Stage = std::function<void(store::Txn&)>;
  virtual Result<void> commit(const Stage& stage,
                              const std::vector<schema::JournalRecord>& records) = 0;
};

// Where the rows are read; the store in the application, a list in tests. Reads see whole commits.
class OutboxReader {
 public:
  virtual ~OutboxReader() = default;
  virtual Result<std::vector<PendingRow>> read(Seq from, size_t limit) = 0;
  virtual Result<Seq> last() = 0;
  virtual Result<std::optional<std::string>> saved_state() = 0;
  // What was saved of the row that fails; see OutboxWorker.
  virtual Result<std::optional<std::string>> saved_tries() = 0;
};
std::unique_ptr<OutboxReader> read_outbox_of(const store::Store& store, std::string sink);

// How delivery goes; a copy, counted since the process began.
struct OutboxStatus {
  bool circuit_open = false;
  uint64_t waiting = 0;
  uint64_t delivered = 0, retried = 0, refused = 0, expired = 0, failed = 0, dropped = 0;
  uint64_t superseded = 0;  // were there already: see Turn
  int failures_in_a_row = 0;
  std::string last_trouble;
  int64_t oldest_waiting_us = 0;  // when the row at the front was made; 0: none waits
};

// Owns the sink and one thread. Rows are numbered densely from Store::last_outbox_seq() + 1.
// start() once; wake(last) after each commit that wrote rows for this sink; stop() lets the
// delivery in progress end, cancels it when it takes longer than the limit, and joins. room() may
// be called by the pipeline before it writes a row: kPause + no room means wait; kDropCounted + no
// room means count and skip. At least once by itself: a crash between the receiver's answer and the
// erase delivers again under the same action id. No row is given up before this process has tried
// it; how often and for how long the row at the front has failed is durable, so that a start takes
// it up where it was. Rows that the sink puts aside stay in the store, count as waiting, and are
// read again when it says so. Fail points: outbox.before_send, outbox.after_send,
// outbox.before_erase.
class OutboxWorker {
 public:
  OutboxWorker(OutboxOptions options, std::unique_ptr<Sink> sink,
               std::unique_ptr<OutboxReader> reader, OutboxHost& host, const Clock& clock,
               MetricRegistry& metrics, uint64_t jitter_seed);
  ~OutboxWorker();

  Result<void> start();
  void wake(Seq last_committed);
  void end_soon();  // after the delivery in progress; does not wait
  void stop(int64_t limit_ms = 0);

  bool room(uint64_t rows = 1) const;
  void count_dropped(uint64_t rows);
  OutboxStatus status() const;
  const OutboxOptions& options() const;
  // The last row that was written: what wake() was told last.
  Seq last() const;
  // Whether no row up to this one waits, but for those that are put aside and of other partitions.
  bool settled(Seq up_to, uint32_t partition) const;

  // One round without the thread: tests and `drain`. True when something was delivered or given up.
  bool step();
  // When the next try is allowed (monotonic ns); 0: at once.
  int64_t next_try_ns() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Full jitter: uniform in [0, min(cap, first * 2^(failures-1))].
int64_t backoff_ms(int failures, int64_t first_ms, int64_t max_ms, Random& random);

}  // namespace qw::streams
