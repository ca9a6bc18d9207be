// Group commit: the changes of a few milliseconds become durable together, then those who wait are
// told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/env.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/commit/lane.h"
#include "store/commit/spool.h"
#include "store/store.h"

namespace qw::store {

enum class CommitState : uint8_t { kOk, kSlow, kDiskFull, kFailing };
std::string_view name_of(CommitState state);

// How often and how much at once the Committer makes durable. A value: copied at construction,
// never changed after.
struct CommitterOptions {
  int64_t interval_us = 5'000;           // from commit to commit while there is something to do
  int64_t retry_us = 200'000;            // after a failed commit
  int64_t slow_us = 1'000'000;           // a commit that takes longer is reported as slow
  size_t max_pending_bytes = 64u << 20;  // of a lane; see Lane::Hold::wait_for_room
  // Told once, on the committer's thread, when it can commit no more although nobody stopped it.
  std::function<void(const Error&)> on_broken;
};

// Owns the lanes and the commit thread. Every few milliseconds the thread takes what each lane has
// open, one lane after the other, and writes all of it in one transaction. A commit that fails
// (disk full) is tried again until it succeeds: its changes are already applied in memory, and
// nothing of it has been acknowledged. Meanwhile the lanes fill up and their holders pause. After a
// hold that broke off, or an exception out of the store, nothing more is committed at all: what is
// durable is whole, and a start goes on from there.
//
// A writer whose records must not wait for a commit has a spool: what it took survives kill -9 at
// once, every commit brings it into the database, and open() what a killed process left in one.
//
// open(), lane(), spool() and start() by one thread, in this order; the rest by any.
class Committer {
 public:
  Committer(Store& store, const Clock& clock, MetricRegistry& metrics, CommitterOptions options);
  ~Committer();

  // Brings in what spools hold, and finds where the numbers of numbered rows go on. kCorrupt: a
  // spool lacks records that were acknowledged. kExhausted: the disk takes no more.
  Result<void> open();
  // A lane for one writer, or for several that share the state behind it. Lives as long as this.
  // Before start().
  Lane& lane(std::string name);
  // A spool for one writer, in "DIR/spool". Lives as long as this. Before start(). kExhausted: the
  // disk has no room for it.
  Result<Spool*> spool();
  void start();

  // The next commit starts at once. Any thread, also the holder of a lane.
  void hurry();
  // From this moment (monotonic) on a disk that refuses is not tried again, and all who wait are
  // told.
  void give_up_at(int64_t at_ns) { give_up_ns_ = at_ns; }
  // Commits what is open, until then, and joins. False: not everything is durable.
  bool stop();
  // Without start(): takes, writes and tells on the calling thread, once. For whoever steps through
  // the life of an application.
  Result<void> step();

  struct Status {
    CommitState state = CommitState::kOk;
    std::string message;
    int64_t last_us = 0;  // duration of the last commit
    int64_t last_ended_wall_us = 0;
    uint64_t commits = 0;
  };
  Status status() const;

 private:
  friend class Lane;

  void run();
  // Sleeps until the interval since the last turn is over, somebody hurries, or stop(). False at
  // stop.
  bool wait_for_turn(int64_t last_turn_ns);
  // One commit. False: there are no more.
  bool turn(bool goes_on);
  // What every lane has open, into `taken_`. False: one of them is torn.
  bool gather();
  void number_rows();
  Result<void> recover();
  // Writes until it succeeds or the time is over; false then.
  bool write();
  void tell();
  // No more commits: those who wait are told, and those who come later.
  void end();
  void broken(const Error& why);
  void note(const Result<void>& written, int64_t began_ns);

  Store& store_;
  const Clock& clock_;
  const CommitterOptions options_;
  LatencyHistogram& durable_latency_;

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Spool>> spools_;
  std::atomic<uint64_t> turns_{0};  // of numbered rows

  // The committer's thread: what it writes and what one lane had open, or empty.
  PendingCommit taken_, of_lane_;
  std::map<std::pair<Log, PartitionId>, Seq> last_row_;
  std::map<std::string, Seq, std::less<>> last_outbox_row_;

  std::mutex turn_mutex_;  // guards hurry_
  std::condition_variable work_;
  bool hurry_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> give_up_ns_{std::numeric_limits<int64_t>::max()};
  std::atomic<bool> lost_{false};  // something was put in that did not become durable

  mutable std::mutex status_mutex_;
  Status status_;
  std::jthread thread_;
};

}  // namespace qw::store
