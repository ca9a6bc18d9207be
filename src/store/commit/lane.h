// One writer's part of the next commits.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "schema/records.h"
#include "store/store.h"

namespace qw::store {

class Committer;
class Lane;

// What a lane adds between two commits: it becomes durable together. Filled under a Lane::Hold.
class PendingCommit {
 public:
  // `turns` counts the numbered rows of all lanes.
  explicit PendingCommit(std::atomic<uint64_t>& turns) : turns_(&turns) {}

  // A row whose number the committer gives, because several lanes write there. `durable` is told
  // the number, on the committer's thread.
  using Numbered = std::function<void(Seq)>;

  Txn txn;
  // Called on the committer's thread, in order, after the commit.
  std::vector<std::function<void()>> then;
  // Arrival (monotonic ns) and number of the events inside, for the durable latency.
  std::vector<std::pair<int64_t, uint32_t>> arrivals;

  // The strongest of what its parts need.
  void need(Durability wanted) {
    if (wanted == Durability::kMachine) durability_ = wanted;
  }
  Durability durability() const { return durability_; }
  // Rows of the journal and of dead letters, which all lanes share.
  void append_numbered(Log log, PartitionId partition, std::string record, Numbered durable = {});
  void put_outbox(std::string_view sink, std::string row, Numbered durable = {});

  bool empty() const {
    return txn.empty() && then.empty() && waiting_.empty() && numbered_.empty();
  }
  size_t bytes() const { return txn.bytes() + numbered_bytes_; }
  // As new, but keeps its memory: a few hundred kilobytes that every commit needs again.
  void clear();

 private:
  friend class Committer;
  friend class Lane;
  struct NumberedRow {
    uint64_t turn = 0;  // of all lanes' rows: the order in which they were put
    Seq seq;            // once the committer gave it
    Log log{};
    PartitionId partition;
    std::string sink;  // empty: a row of the log
    std::string bytes;
    Numbered durable;
  };
  // Moves all of `other` behind what is here.
  void add(PendingCommit& other);
  void put_numbered(NumberedRow row);
  // It will never be durable.
  void give_up();

  std::vector<NumberedRow> numbered_;
  size_t numbered_bytes_ = 0;
  std::atomic<uint64_t>* turns_;
  Durability durability_ = Durability::kProcess;
  // Those who wait until it is durable; told, too, when it will never be.
  std::vector<std::promise<Result<void>>*> waiting_;
};

// A writer's own part of every commit, and the guard of the state that changes with it: what is
// done under one Hold is one unit, which a commit takes whole or not yet. Between lanes nothing is
// ordered but the numbers of numbered rows that one commit takes; who builds on what another lane
// wrote waits until that is durable.
//
// Made and owned by the Committer. Any thread may hold a lane, one at a time; a holder waits for no
// other lane. After an exception, or tear(), under a hold the lane's work is not whole, and nothing
// at all is committed any more: a start goes on from what is durable.
class Lane {
 public:
  // The lane, for as long as this lives. Its end is a commit point.
  class Hold {
   public:
    explicit Hold(Lane& lane) : lane_(lane) { lane_.lock(); }
    ~Hold() {
      if (held_) lane_.unlock();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    PendingCommit& open() { return lane_.open_; }
    // What is open is not whole, and will never be.
    void tear() { lane_.torn_ = true; }
    // Lets the lane go, a commit point like the end, and takes it again.
    void let_go();
    void take_again();
    // Waits, without the lane, until there is room for more, at most `limit_us`. False: still full.
    bool wait_for_room(int64_t limit_us);

   private:
    Lane& lane_;
    bool held_ = true;
  };

  [[nodiscard]] Hold hold() { return Hold(*this); }
  // As hold(), where nobody holds the lane at this moment.
  bool is_free();
  // By its holder.
  PendingCommit& open() { return open_; }
  // Before holding it again and again: lets a commit that is due take its turn first. A mutex alone
  // is not fair, and a busy holder would keep the committer out for many intervals.
  void give_way() const { due_.wait(true, std::memory_order_acquire); }
  // The next commit starts at once. Any thread, also a holder.
  void hurry();

  // Until everything put into the lane so far is durable. Without holding it. kUnavailable: a stop
  // was asked for before, or there are no more commits.
  Result<void> wait_durable(const std::stop_token& stop);
  // Until what `fill` adds is durable. Without holding the lane. kUnavailable: as above.
  Result<void> commit(const std::function<void(PendingCommit&)>& fill);

  const std::string& name() const { return name_; }

 private:
  friend class Committer;
  Lane(Committer& committer, std::string name);
  void lock();
  void unlock();
  // Swaps what is open into `taken`, which is empty. False: it is torn.
  bool take(PendingCommit& taken);
  void end(bool& lost);

  Committer& committer_;
  const std::string name_;
  std::mutex mutex_;
  std::condition_variable room_;
  int exceptions_ = 0;  // under way when it was locked
  bool torn_ = false;
  bool ended_ = false;  // nothing will be committed any more
  PendingCommit open_;
  std::atomic<bool> due_{false};
};

}  // namespace qw::store
