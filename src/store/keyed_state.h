// Keyed state in memory, backed by checkpoints and by the replay of a log: what views, detectors
// and alerts keep per key.
#pragma once

#include <algorithm>
#include <atomic>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::store {

// The live state of one key. Owned by its table and touched under the table's lock only.
class KeyedState {
 public:
  virtual ~KeyedState() = default;
  // The bytes to checkpoint: the state's own, or written into `scratch`. Keep what stays the same
  // at the same offset, so that few pages change.
  virtual std::string_view image(std::string& scratch) const = 0;
  virtual size_t memory_bytes() const = 0;
};

// Makes the states of a table, for several keys at once: any thread. Must not call the table.
class KeyedStateKind {
 public:
  virtual ~KeyedStateKind() = default;
  virtual std::unique_ptr<KeyedState> fresh(std::string_view key) const = 0;
  virtual Result<std::unique_ptr<KeyedState>> decode(std::string_view key,
                                                     std::string_view image) const = 0;
  // Does to the state what applying this log record did to it before the crash.
  virtual Result<void> replay(KeyedState& state, std::string_view key, Seq seq,
                              std::string_view record) const = 0;
};

// Memory that the states of several tables share. Soft: a state whose change is not on disk yet
// stays. While the sum is above the limit, who takes more than an even share of it drops what was
// used least recently. Any thread.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  size_t limit_bytes() const { return limit_bytes_; }
  size_t used_bytes() const { return used_bytes_; }
  uint64_t evictions() const { return evictions_; }

 private:
  friend class MemoryShare;
  const size_t limit_bytes_;
  std::atomic<size_t> used_bytes_ = 0, shares_ = 0;
  std::atomic<uint64_t> evictions_ = 0;
};

// What one holder takes of a budget, which it gives back at its end. One thread at a time.
class MemoryShare {
 public:
  explicit MemoryShare(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {
    ++budget_->shares_;
  }
  ~MemoryShare() {
    change(-static_cast<int64_t>(bytes_));
    --budget_->shares_;
  }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void change(int64_t bytes) {
    bytes_ += static_cast<size_t>(bytes);
    budget_->used_bytes_ += static_cast<size_t>(bytes);
  }
  size_t bytes() const { return bytes_; }
  // Something of the holder's must go.
  bool asks() const {
    return budget_->used_bytes_ > budget_->limit_bytes_ &&
           bytes_ > budget_->limit_bytes_ / std::max<size_t>(budget_->shares_, 1);
  }
  void evicted() { ++budget_->evictions_; }

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  size_t bytes_ = 0;
};

// Whose states a table keeps, and within which limits. A value, copied at construction.
struct KeyedTableOptions {
  // Behaviour
  std::string owner;       // StateId::owner
  PartitionId partition;   // StateId::partition
  Log log = Log::kEvents;  // whose records change these states; their seq orders the changes
  int64_t replay_max_us = 30'000'000;  // a change is checkpointed within this time
  // Performance. Shared with other tables, or null: the table's own, of this limit.
  std::shared_ptr<MemoryBudget> memory = nullptr;
  int64_t load_limit_us = 10'000'000;  // how long one waits for a key that another thread reads
  size_t memory_limit_bytes = size_t{256} << 20;
};

// What a checkpoint pass wrote.
struct CheckpointPass {
  uint64_t ticket = 0;  // give it to committed() once the transaction is on disk
  size_t states = 0;
  size_t bytes = 0;
  size_t left = 0;        // states whose changes are not on disk yet, due or not
  int64_t behind_us = 0;  // how long the most overdue state that was left waits past its time
};

// What a sweep did.
struct Sweep {
  uint64_t ticket = 0;  // give it to committed() once the transaction is on disk
  size_t erased = 0;
  bool ended = false;  // it came to the last key
};

// The states of one owner in one partition. Made by the owner's part, lives as long as it; the
// store and the kind outlive it.
//
// Threads: every call takes the table's own lock and may come from any thread, but changes (apply,
// checkpoint_some, committed) come from one thread, in log order, into transactions that are
// committed in order. The lock is held for microseconds: a state that is not in memory is read, and
// catches up, without it; who needs the same key meanwhile waits for it (kTimeout after
// load_limit_us), nobody else does. docs/adr/0001-commit.md says how long that takes.
//
// Start: for each record of the log after the stored low_water: add_pending(key, seq); then
// finish_recovery(). Nothing is replayed then: a key catches up when it is first touched, or by
// warm(). What nobody asked for is caught up by the checkpoint passes, within twice replay_max.
class KeyedTable {
 public:
  KeyedTable(const Store& store, KeyedTableOptions options,
             std::shared_ptr<const KeyedStateKind> kind);
  const std::string& owner() const { return options_.owner; }
  PartitionId partition() const { return options_.partition; }

  // In seq order per key.
  void add_pending(std::string_view key, Seq seq);
  // Forgets what checkpoints already hold. `now_us` is monotonic, here and below.
  Result<void> finish_recovery(int64_t now_us);

  // Lets one of the keys that wait catch up, the one that changed last: what is asked for next is
  // likely to be in memory then. From a thread of its own. False: nobody waits.
  Result<bool> warm();

  // Runs `change` on the key's state as record `seq` of the log, or does nothing and returns false
  // when that record is in the state already. State must be the kind's.
  template <class State, class Change>
  Result<bool> apply(std::string_view key, Seq seq, int64_t now_us, const Change& change) {
    Lock lock(mutex_);
    QW_ASSIGN(Entry* const entry, find(lock, key, true));
    if (seq <= entry->applied) return false;
    change(static_cast<State&>(*entry->state));
    changed(*entry, seq, now_us);
    return true;
  }

  // Runs `look` on the key's state, catching up first. kNotFound when the key was never applied to.
  template <class State, class Look>
  Result<void> with_state(std::string_view key, const Look& look) {
    Lock lock(mutex_);
    QW_ASSIGN(Entry* const entry, find(lock, key, false));
    look(static_cast<const State&>(*entry->state));
    return {};
  }

  // Writes the states that are due, the longest due first, until `budget_bytes` are used (at least
  // one). Calling this at every commit spreads the work evenly over replay_max_us. With kAllAreDue
  // for `now_us` (a shutdown) until nothing is left, the next start has nothing to replay.
  static constexpr int64_t kAllAreDue = INT64_MAX;
  Result<CheckpointPass> checkpoint_some(Txn& txn, int64_t now_us, size_t budget_bytes);
  // The transaction of that pass or sweep, and all before it, are on disk.
  void committed(uint64_t ticket);

  // Looks at the next `count` states on disk, in key order and from the first again after the last,
  // and erases those of which `ended` says that nobody needs them; a later change of such a key
  // begins anew. States that are not on disk as they are stay.
  template <class State, class Ended>
  Result<Sweep> sweep(Txn& txn, size_t count, const Ended& ended) {
    Lock lock(mutex_);
    Sweep sweep{++last_ticket_, 0, true};
    QW_ASSIGN(const std::vector<std::string> keys, next_keys(count));
    for (const std::string& key : keys) {
      const bool here = entries_.contains(key);
      QW_ASSIGN(Entry* const entry, find(lock, key, true));
      // What is not on disk as it is has just changed.
      if (!entry->dirty && entry->ticket == 0 && ended(static_cast<const State&>(*entry->state))) {
        erase(*entry, txn, sweep.ticket);
        ++sweep.erased;
      }
      if (!here) recent_.splice(recent_.end(), recent_, entry->recent);  // nobody asked for it
    }
    sweep.ended = swept_.empty();
    return sweep;
  }

  // The seq up to which every state is on disk once this transaction is; `head` is the log's last
  // seq given to apply or skipped. Put it into the same transaction as the checkpoints: the next
  // start begins its scan there.
  Seq low_water(Seq head) const;

  // Every key that ever had a change applied, each once. Reads the list from disk, without the
  // lock.
  Result<void> each_key(const std::function<void(std::string_view)>& take) const;
  // The same, in order.
  Result<std::vector<std::string>> keys() const;

  struct Stats {
    size_t in_memory = 0;
    size_t dirty = 0;            // changed since their checkpoint, pending ones included
    size_t pending_keys = 0;     // not caught up yet
    size_t pending_records = 0;  // of those keys
    size_t memory_bytes = 0;
    uint64_t loads = 0;
    uint64_t evictions = 0;
  };
  Stats stats() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Due {  // ordered by when, then by seq: the same on every run
    int64_t at_us = 0;
    Seq first;
    std::string_view key;
    friend auto operator<=>(const Due&, const Due&) = default;
  };
  // Seqs waiting to be replayed for one key, as varint differences: two or three bytes each.
  struct Pending {
    std::string differences;
    Seq first;
    Seq last;
    size_t count = 0;
    Due due;

    void add(Seq seq);
    std::vector<Seq> seqs() const;
  };
  struct Entry {
    std::string_view key;  // of its node in entries_
    std::unique_ptr<KeyedState> state;
    StatePages pages;
    Seq applied;
    bool dirty = false;
    bool erased = false;  // by a sweep that may not be on disk yet
    Due due;              // while dirty
    uint64_t ticket = 0;  // of the pass that wrote it last and is not on disk yet, or 0
    size_t accounted_bytes = 0;
    std::list<Entry*>::iterator recent;
  };

  struct InFlight {
    uint64_t ticket = 0;
    std::vector<std::string> keys;
  };

  // The key's caught-up state; makes one when there is none and `make` is set. May let the lock go
  // and take it again.
  Result<Entry*> find(Lock& lock, std::string_view key, bool make);
  Result<Entry*> load(Lock& lock, std::string_view key, bool make);
  // Without the lock: from disk, and then by these records.
  Result<Entry> read(std::string_view key, const std::vector<Seq>& pending, bool make) const;
  Result<void> catch_up(Entry& entry, const std::vector<Seq>& pending) const;
  void changed(Entry& entry, Seq seq, int64_t now_us);
  Due due_of(std::string_view key, Seq first, int64_t now_us) const;
  // The key that a pass writes next, or nothing that is due.
  std::optional<std::string> next_due(int64_t now_us) const;
  size_t checkpoint(Entry& entry, Txn& txn, uint64_t ticket);
  Result<std::vector<std::string>> next_keys(size_t count);
  void erase(Entry& entry, Txn& txn, uint64_t ticket);
  void drop(Entry& entry);
  void account(Entry& entry);
  void evict();
  StateId id_of(std::string_view key) const;

  const Store& store_;
  KeyedTableOptions options_;
  const std::shared_ptr<const KeyedStateKind> kind_;

  mutable std::mutex mutex_;
  // Everything below is under mutex_. Node-based maps: keys and entries keep their addresses.
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Entry, TextHash, std::equal_to<>> entries_;
  std::unordered_map<std::string, Pending, TextHash, std::equal_to<>> pending_;
  std::set<std::string, std::less<>> loading_;  // keys that some thread reads at this moment
  std::condition_variable loaded_;              // one of them less
  std::list<Entry*> recent_;                    // most recently used first
  std::set<Due> due_;                           // entries that are not on disk as they are
  std::set<Due> pending_due_;                   // pending keys
  std::set<std::pair<Seq, std::string_view>> first_unapplied_;  // of both
  std::vector<std::string> to_warm_;                            // pending keys, the next one last
  std::deque<InFlight> in_flight_;
  uint64_t last_ticket_ = 0;
  std::string swept_;  // the last key that a sweep looked at; empty: it begins at the first
  MemoryShare memory_;
  size_t pending_records_ = 0;
  uint64_t loads_ = 0;
  uint64_t evictions_ = 0;
  bool recovered_ = false;
  std::string scratch_;
};

}  // namespace qw::store
