// The durable heart of one application: logs, positions, outbox and state of one data folder,
// changed by atomic commits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/data_folder.h"

namespace rocksdb {
class FileSystem;
class WriteBatch;
}  // namespace rocksdb

namespace qw::store {

enum class Log : uint8_t { kEvents = 1, kDecisions = 2, kJournal = 3, kDeadLetters = 4 };

// What a commit promises: kProcess survives kill -9, kMachine also a power cut (fdatasync before it
// returns).
enum class Durability : uint8_t { kProcess, kMachine };

// Names one piece of keyed state: whose (view or model version), in which partition, for which key.
struct StateId {
  std::string owner;  // "view/metric@<hash>", "model/anomaly@3"
  PartitionId partition;
  std::string key;
};

// State as last checkpointed: everything up to and including `applied` is in `bytes`.
struct StateImage {
  Seq applied;
  std::string bytes;
};

// Remembers what of a state is already on disk, so that a checkpoint writes only the pages that
// changed. Owned by whoever owns the live state; one thread at a time. Fresh for a state that is
// not on disk; filled by load_state otherwise. Whoever drops a transaction without committing it
// loads again (or erases) the states it had checkpointed.
struct StatePages {
  std::vector<uint64_t> page_hashes;
  uint64_t size_bytes = 0;
};
constexpr size_t kStatePageBytes = 512;

// Changes that become durable together or not at all. Built by one thread, then given to
// Store::commit.
class Txn {
 public:
  Txn();
  ~Txn();
  Txn(Txn&&) noexcept;
  Txn& operator=(Txn&&) noexcept;

  // seq is 1 or more.
  void append(Log log, PartitionId partition, Seq seq, std::string_view record);
  // Removes log records with seq in [from, to); trims of a log go upward. last_seq never goes back
  // below to - 1.
  void trim(Log log, PartitionId partition, Seq from, Seq to);
  void put_meta(std::string_view name, std::string_view value);
  void erase_meta(std::string_view name);
  // Every name that begins so.
  void erase_meta_prefix(std::string_view prefix);
  // One row to deliver through a sink; rows of a sink are put, and delivered, in `seq` order
  // from 1.
  void put_outbox(std::string_view sink, Seq seq, std::string_view row);
  void erase_outbox(std::string_view sink, Seq seq);
  // Writes the pages of `bytes` that differ from what `pages` remembers, with the new `applied`;
  // updates `pages`. Returns the bytes added to this transaction.
  size_t checkpoint(const StateId& id, Seq applied, std::string_view bytes, StatePages& pages);
  // Also forgets what `pages` of this state remember: use fresh StatePages afterwards.
  void erase_state(const StateId& id);
  // Removes every state of this owner.
  void erase_owner(std::string_view owner);

  // Moves the changes of `other` behind these; it is empty then. What `other` trims of a log was
  // durable before: rows that are appended here stay.
  void add(Txn& other);

  bool empty() const;
  size_t bytes() const;
  void clear();

 private:
  friend class Store;
  // A row of a log that is not in batch_ yet: where its record lies in log_bytes_.
  struct LogRow {
    Log log;
    PartitionId partition;
    Seq seq;
    size_t begin;
    size_t size;
  };
  // Moves the rows into the batch, those of each log together: rows that follow each other in the
  // batch as they do in the database are found a place without a search.
  void gather();

  std::unique_ptr<rocksdb::WriteBatch> batch_;
  std::vector<LogRow> log_rows_;
  std::string log_bytes_;
};

// Where a Store lives and what it may use. A value; `clock` is the caller's and outlives the Store.
struct StoreOptions {
  std::string folder;
  // Commits are refused with kExhausted while less than this is free, so that the database never
  // fails half-way through its own work.
  uint64_t min_free_bytes = uint64_t{64} << 20;
  // Performance
  size_t block_cache_bytes = 32u << 20;
  int max_open_files = 256;
  // All unflushed rows together; twice this while a flush runs.
  size_t write_buffer_bytes = 32u << 20;
  // Null: the machine's disk. Tests pass one that loses what was not synced.
  std::shared_ptr<rocksdb::FileSystem> file_system;
  // Times commits and waits after a failed flush. Null: the machine's clock.
  const Clock* clock = nullptr;
  // Go on without what is damaged or missing; see Store::losses().
  bool accept_loss = false;
  // Nothing is changed, not even on a full disk; open() is kNotFound when there is no database.
  bool read_only = false;
  // Which start of the machine this is. Empty: the machine says.
  std::string boot;
};

// One open data folder. Owns its files: a second open of the same folder fails with kConflict and
// names the holder's process. commit() may be called by one thread at a time; reads run
// concurrently with it and see whole commits; visitors may read, and must not commit. After a
// failed commit (kExhausted: disk full; kIo) nothing of it is visible and reads go on; the same
// transaction, committed again before any other, succeeds once the disk works again. (A process
// that ends between the two may find the failed commit on disk: whole or not at all.) open() fails
// with kCorrupt for a damaged folder: one in which something that was acknowledged is missing, even
// the whole database (a crash leaves nothing like that; what it tore was not acknowledged); with
// kUnsupported for one of a newer format.
class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options, MetricRegistry& metrics);
  ~Store();

  // Success clears the transaction; failure keeps it, to be committed again. An empty one with
  // kMachine makes everything committed before survive a power cut.
  Result<void> commit(Txn& txn, Durability durability);

  // Calls `visit` for records with seq in [from, to) in order until it returns false. Of what was
  // trimmed nothing is seen: store::History reads that too.
  using RecordVisitor = std::function<bool(Seq seq, std::string_view record)>;
  Result<void> scan(Log log, PartitionId partition, Seq from, Seq to,
                    const RecordVisitor& visit) const;
  // As scan(), when no record from `from` on was trimmed; else visits nothing. Answers with the
  // first seq that was not: both as of one moment, so that a reader of segments misses none.
  Result<Seq> scan_tail(Log log, PartitionId partition, Seq from, Seq to,
                        const RecordVisitor& visit) const;
  // Calls `visit` for the records with these seqs (rising); kCorrupt when one is missing.
  Result<void> read(Log log, PartitionId partition, const std::vector<Seq>& seqs,
                    const RecordVisitor& visit) const;
  // The last `count` records before `before`, newest first.
  Result<void> scan_back(Log log, PartitionId partition, Seq before, size_t count,
                         const RecordVisitor& visit) const;
  // Highest seq the log ever held (trimmed ones count), or Seq{0}.
  Result<Seq> last_seq(Log log, PartitionId partition) const;

  Result<std::optional<std::string>> get_meta(std::string_view name) const;
  using MetaVisitor = std::function<bool(std::string_view name, std::string_view value)>;
  Result<void> scan_meta(std::string_view prefix, const MetaVisitor& visit) const;

  // Rows of the sink with seq >= from, at most `limit`.
  using OutboxVisitor = std::function<bool(Seq seq, std::string_view row)>;
  Result<void> scan_outbox(std::string_view sink, Seq from, size_t limit,
                           const OutboxVisitor& visit) const;
  // The sinks that rows were ever put for, in the order of their names.
  Result<std::vector<std::string>> outbox_sinks() const;
  // Highest seq ever put for the sink (erased ones count), or Seq{0}.
  Result<Seq> last_outbox_seq(std::string_view sink) const;

  // The last checkpoint of a state, or nothing. Fills `pages` so that the next checkpoint writes
  // only changes. kCorrupt when a page is missing or the whole fails its checksum.
  Result<std::optional<StateImage>> load_state(const StateId& id, StatePages& pages) const;
  // Keys of an owner in a partition, in key order; those behind `after` when it is given.
  using KeyVisitor = std::function<bool(std::string_view key, Seq applied)>;
  Result<void> scan_states(std::string_view owner, PartitionId partition, const KeyVisitor& visit,
                           std::optional<std::string_view> after = std::nullopt) const;

  // What open() went on without; empty unless it was told to.
  const std::vector<Loss>& losses() const;
  // Reads every block of every table. kCorrupt.
  Result<void> verify() const;
  // From now on a registry that is missing is missed.
  Result<void> note_registry();

  // Everything below the folder, as the file system counts it; walks the folder.
  uint64_t disk_bytes() const;
  const std::string& folder() const;
  // Of the data folder: random, given once.
  const std::string& id() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qw::store
