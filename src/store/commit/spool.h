// Records that a reply relies on at once: put where the kernel keeps them when the process dies,
// long before a commit makes them rows of the database.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::store {

// Bytes that a lane may hold between two commits: a page less than 4 MB of records. Ten
// milliseconds of 100,000 records of 1 KB a second fit four times.
constexpr size_t kSpoolBytes = size_t{4} << 20;

// One lane's records between their append and their commit: a ring in a file of fixed size, mapped
// into memory. A record is in the kernel's hands when append() returns, so kill -9 cannot take it;
// a power cut can, like everything of Durability::kProcess.
//
// Owned by whoever owns the lane; lives until its last record is committed. append() by one thread;
// drain() and release() by one thread, the committing one; both may run at the same time.
// Errors: kExhausted when the ring is full until the next commit, or the disk at create().
class Spool {
 public:
  // Makes `folder`/<16 hex digits>.spool. Its bytes are taken from the disk now, so that no later
  // write can meet a full one. `bytes` is a multiple of the page size.
  static Result<std::unique_ptr<Spool>> create(const std::string& folder, uint64_t id,
                                               size_t bytes = kSpoolBytes);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // A row of a log, as Txn::append takes it. Returns once kill -9 cannot lose it.
  Result<void> append(Log log, PartitionId partition, Seq seq, std::string_view record);

  // Stages what was appended since the last drain, and how far that is. True when there was any.
  // A transaction that was refused is committed again, or its rows are lost.
  bool drain(Txn& txn);
  // What was drained is committed: its place may be written again.
  void release();

  // The largest record that append() takes.
  size_t record_bytes_max() const;
  uint64_t id() const { return id_; }

 private:
  Spool(std::string path, uint64_t id) : path_(std::move(path)), id_(id) {}
  char* room_for(size_t frame_bytes);

  const std::string path_;
  const uint64_t id_;
  char* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  size_t ring_bytes_ = 0;
  // Positions grow for ever; a position's place is its remainder by ring_bytes_.
  uint64_t head_ = 0;                   // the writer's: where the next frame begins
  uint64_t number_ = 0;                 // the writer's: of the last frame
  std::atomic<uint64_t> published_{0};  // frames before this position are whole
  std::atomic<uint64_t> released_{0};   // frames before this position may be overwritten
  uint64_t drained_ = 0;                // the committing thread's
  uint64_t drained_number_ = 0;         // the committing thread's: of the last frame drained
};

// What a start found in the spools of a process that ended without draining them.
struct SpoolRecovery {
  std::vector<std::string> files;  // to remove once the transaction is committed
  uint64_t records = 0;
  bool remembered = false;  // the store remembers spools, also of a process that ended cleanly
  std::vector<std::string> notes;  // what a power cut took: for the log
};

// Stages every record that was appended and never committed, each once, in the order of its lane.
// The caller commits, then removes `files` with remove_spools(). kCorrupt: a spool is damaged
// before
// its end though the machine did not restart in between, so acknowledged records are missing;
// nothing is staged or removed.
Result<SpoolRecovery> recover_spools(const std::string& folder, const Store& store, Txn& txn);
// Removes recovered files, then stages the end of all that the store remembers of spools, so that
// ids may be given anew once that is committed. While no spool is open.
Result<void> remove_spools(const SpoolRecovery& recovery, Txn& txn);

}  // namespace qw::store
