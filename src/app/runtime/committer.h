// Group commit: the changes of a few milliseconds become durable together, then those who wait are
// told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
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

enum class CommitState : uint8_t { kOk, kSlow, kDiskFull, kFailing };
std::string_view name_of(CommitState state);

// How often and how much at once the Committer makes durable. A value: copied at construction,
// never changed after.
struct CommitterOptions {
  int64_t interval_us = 5'000;           // from commit to commit while there is something to do
  int64_t retry_us = 200'000;            // after a failed commit
  int64_t slow_us = 1'000'000;           // a commit that takes longer is reported as slow
  size_t max_pending_bytes = 64u << 20;  // the pipeline waits above this
};

// Owns the commit thread. The pipeline fills the open PendingCommit under its lock; the thread
// swaps it out and writes it. A commit that fails (disk full) is tried again until it succeeds: its
// changes are already applied in memory, and nothing of it has been acknowledged. Meanwhile the
// pipeline fills up and pauses.
class Committer {
 public:
  Committer(store::Store& store, const Clock& clock, MetricRegistry& metrics,
            CommitterOptions options);
  ~Committer();

  // The lock that guards open() and whatever else must change together with it (the pipeline's
  // state).
  std::mutex& mutex() { return mutex_; }
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
  bool wait_for_room(std::unique_lock<std::mutex>& lock, int64_t limit_us);

  // Until everything in the open commit is durable. Any thread, without mutex(). kUnavailable: a
  // stop was asked for before.
  Result<void> wait_durable(const std::stop_token& stop);

  void start();
  // Commits what is open, then joins. Gives up after `limit_ms` when the disk refuses: the error,
  // once; nothing when everything is durable.
  Result<void> stop(int64_t limit_ms);

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
  // Writes until it succeeds or stop() gave up; false then.
  bool write(PendingCommit& taken);
  // At a shutdown that could not commit: those who wait are told.
  void refuse(PendingCommit& taken);
  void note(const Result<void>& written, int64_t began_ns);

  store::Store& store_;
  const Clock& clock_;
  const CommitterOptions options_;
  LatencyHistogram& durable_latency_;

  // Sleeps until the interval since the last turn is over, somebody hurries, or stop(). False at
  // stop.
  bool wait_for_turn(int64_t last_turn_ns);

  std::mutex mutex_;
  std::condition_variable room_;
  PendingCommit open_;
  PendingCommit taken_;  // the committer's thread: what it writes, or empty
  std::atomic<bool> due_{false};

  std::mutex
      turn_mutex_;  // guards hurry_; never held together with mutex_ by the committer's thread
  std::condition_variable work_;
  bool hurry_ = false;
  std::atomic<bool> stopping_{false};
  int64_t give_up_ns_ = 0;
  std::optional<Error> gave_up_;  // the committer's thread's, then stop()'s

  mutable std::mutex status_mutex_;
  Status status_;
  std::jthread thread_;
};

}  // namespace qw::app
