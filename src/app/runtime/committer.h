// Group commit: the changes of a few milliseconds become durable together, then those who wait are
// told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::app {

// Everything that must become durable at one moment, and what follows once it is.
struct PendingCommit {
  store::Txn txn;
  store::Durability durability = store::Durability::kProcess;
  // Those who wait until it is durable (outbox workers); told, too, when it will never be.
  std::vector<std::promise<Result<void>>*> waiting;
  // Called on the committer's thread, in order, after the commit.
  std::vector<std::function<void()>> then;
  // Arrival (monotonic ns) and number of the events inside, for the durable latency.
  std::vector<std::pair<int64_t, uint32_t>> arrivals;

  void need(store::Durability wanted) {
    if (wanted == store::Durability::kMachine) durability = wanted;
  }
  bool empty() const { return txn.empty() && then.empty() && waiting.empty(); }
  // As new, but keeps its memory: a few hundred kilobytes that every commit needs again.
  void clear();
};

// The mutex of the open commit, and the memory of work that broke off while it was held, by an
// exception or an error: what was half done must never become durable.
class CommitMutex {
 public:
  void lock() {
    mutex_.lock();
    exceptions_ = std::uncaught_exceptions();
  }
  bool try_lock() {
    if (!mutex_.try_lock()) return false;
    exceptions_ = std::uncaught_exceptions();
    return true;
  }
  void unlock() {
    // Those that were under way before are no part of what was done under the lock.
    if (std::uncaught_exceptions() > exceptions_) tear();
    mutex_.unlock();
  }
  // With the lock held: what is open is not whole.
  void tear() { torn_.store(true, std::memory_order_relaxed); }
  bool torn() const { return torn_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  int exceptions_ = 0;  // when it was locked
  std::atomic<bool> torn_{false};
};

enum class CommitState : uint8_t { kOk, kSlow, kDiskFull, kFailing };
std::string_view name_of(CommitState state);

// How often and how much at once the Committer makes durable. A value: copied at construction,
// never changed after.
struct CommitterOptions {
  int64_t interval_us = 5'000;           // from commit to commit while there is something to do
  int64_t retry_us = 200'000;            // after a failed commit
  int64_t slow_us = 1'000'000;           // a commit that takes longer is reported as slow
  size_t max_pending_bytes = 64u << 20;  // the pipeline waits above this
  // Told once, on the committer's thread, when it can commit no more although nobody stopped it.
  std::function<void(const Error&)> on_broken;
};

// Owns the commit thread. The pipeline fills the open PendingCommit under its lock; the thread
// swaps it out and writes it. A commit that fails (disk full) is tried again until it succeeds: its
// changes are already applied in memory, and nothing of it has been acknowledged. Meanwhile the
// pipeline fills up and pauses. After an exception under the lock, or out of the store, nothing
// more is committed at all: what is durable is whole, and a start goes on from there.
class Committer {
 public:
  Committer(store::Store& store, const Clock& clock, MetricRegistry& metrics,
            CommitterOptions options);
  ~Committer();

  // The lock that guards open() and whatever else must change together with it (the pipeline's
  // state).
  CommitMutex& mutex() { return mutex_; }
  // Under mutex().
  PendingCommit& open() { return open_; }
  // The next commit starts at once. Any thread, also under mutex().
  void hurry();
  // Without mutex(), before taking it again and again: lets a commit that is due take its turn
  // first. A mutex alone is not fair, and a busy pipeline would keep the committer out for many
  // intervals.
  void give_way() const { due_.wait(true, std::memory_order_acquire); }
  // With `lock` held on mutex(): waits until there is room for more changes, at most `limit_us`.
  // False: still full.
  bool wait_for_room(std::unique_lock<CommitMutex>& lock, int64_t limit_us);

  // Until everything in the open commit is durable. Any thread, without mutex(). kUnavailable: a
  // stop was asked for before.
  Result<void> wait_durable(const std::stop_token& stop);

  // Until what `fill` adds to the open commit, under mutex(), is durable; without mutex().
  // kUnavailable: there are no more commits.
  Result<void> commit(const std::function<void(PendingCommit&)>& fill);

  void start();
  // From this moment (monotonic) on a disk that refuses is not tried again, and all who wait are
  // told.
  void give_up_at(int64_t at_ns) { give_up_ns_ = at_ns; }
  // Commits what is open, until then, and joins. False: not everything is durable.
  bool stop();

  struct Status {
    CommitState state = CommitState::kOk;
    std::string message;
    int64_t last_us = 0;  // duration of the last commit
    int64_t last_ended_wall_us = 0;
    uint64_t commits = 0;
  };
  Status status() const;

 private:
  void run();
  bool turn(bool goes_on);
  // Writes until it succeeds or the time is over; false then.
  bool write(PendingCommit& taken);
  // No more commits: those who wait are told, and those who come later.
  void end(PendingCommit& taken);
  void broken(const Error& why);
  void note(const Result<void>& written, int64_t began_ns);

  store::Store& store_;
  const Clock& clock_;
  const CommitterOptions options_;
  LatencyHistogram& durable_latency_;

  // Sleeps until the interval since the last turn is over, somebody hurries, or stop(). False at
  // stop.
  bool wait_for_turn(int64_t last_turn_ns);

  CommitMutex mutex_;
  std::condition_variable_any room_;
  PendingCommit open_;
  bool ended_ = false;   // nothing will be committed any more
  PendingCommit taken_;  // the committer's thread: what it writes, or empty
  std::atomic<bool> due_{false};

  std::mutex
      turn_mutex_;  // guards hurry_; never held together with mutex_ by the committer's thread
  std::condition_variable work_;
  bool hurry_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> give_up_ns_{std::numeric_limits<int64_t>::max()};
  std::atomic<bool> lost_{false};  // something was put in that did not become durable

  mutable std::mutex status_mutex_;
  Status status_;
  std::jthread thread_;
};

}  // namespace qw::app
