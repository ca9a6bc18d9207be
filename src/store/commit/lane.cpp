#include "store/commit/lane.h"

#include <chrono>
#include <iterator>
#include <memory>

#include "store/commit/committer.h"

namespace qw::store {
namespace {

Error no_more_commits() {
  return {ErrorCode::kUnavailable, "the application is stopping", "commit", ""};
}

template <class T>
void move_behind(std::vector<T>& all, std::vector<T>& more) {
  if (all.empty()) return std::swap(all, more);
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  more.clear();
}

}  // namespace

void PendingCommit::append_numbered(Log log, PartitionId partition, std::string record,
                                    Numbered durable) {
  put_numbered({0, {}, log, partition, {}, std::move(record), std::move(durable)});
}

void PendingCommit::put_outbox(std::string_view sink, std::string row, Numbered durable) {
  put_numbered({0, {}, {}, {}, std::string(sink), std::move(row), std::move(durable)});
}

void PendingCommit::put_numbered(NumberedRow row) {
  row.turn = turns_->fetch_add(1, std::memory_order_relaxed);
  numbered_bytes_ += row.bytes.size();
  numbered_.push_back(std::move(row));
}

void PendingCommit::clear() {
  txn.clear();
  then.clear();
  arrivals.clear();
  numbered_.clear();
  numbered_bytes_ = 0;
  durability_ = Durability::kProcess;
  waiting_.clear();
}

void PendingCommit::add(PendingCommit& other) {
  txn.add(other.txn);
  move_behind(then, other.then);
  move_behind(arrivals, other.arrivals);
  move_behind(numbered_, other.numbered_);
  move_behind(waiting_, other.waiting_);
  numbered_bytes_ += other.numbered_bytes_;
  need(other.durability_);
  other.clear();
}

void PendingCommit::give_up() {
  for (auto* const done : waiting_) done->set_value(no_more_commits());
  waiting_.clear();
}

Lane::Lane(Committer& committer, std::string name)
    : committer_(committer), name_(std::move(name)), open_(committer.turns_) {}

void Lane::lock() {
  mutex_.lock();
  exceptions_ = std::uncaught_exceptions();
}

void Lane::unlock() {
  // Those that were under way before are no part of what was done under the hold.
  if (std::uncaught_exceptions() > exceptions_) torn_ = true;
  mutex_.unlock();
}

bool Lane::is_free() {
  if (!mutex_.try_lock()) return false;
  mutex_.unlock();
  return true;
}

void Lane::hurry() { committer_.hurry(); }

void Lane::Hold::let_go() {
  QW_ASSERT(held_);
  held_ = false;
  lane_.unlock();
}

void Lane::Hold::take_again() {
  QW_ASSERT(!held_);
  lane_.lock();
  held_ = true;
}

bool Lane::Hold::wait_for_room(int64_t limit_us) {
  QW_ASSERT(held_);
  std::unique_lock lock(lane_.mutex_, std::adopt_lock);
  const bool room = lane_.room_.wait_for(lock, std::chrono::microseconds(limit_us), [this] {
    return lane_.ended_ || lane_.committer_.stopping_ ||
           lane_.open_.bytes() < lane_.committer_.options_.max_pending_bytes;
  });
  lock.release();
  return room;
}

Result<void> Lane::wait_durable(const std::stop_token& stop) {
  const auto durable = std::make_shared<std::promise<void>>();
  auto done = durable->get_future();
  {
    auto held = hold();
    if (ended_) return no_more_commits();
    held.open().then.push_back([durable] { durable->set_value(); });
  }
  hurry();
  // A disk that refuses is tried again until it takes it.
  while (done.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (stop.stop_requested()) return no_more_commits();
    const auto held = hold();
    if (ended_) return no_more_commits();
  }
  return {};
}

Result<void> Lane::commit(const std::function<void(PendingCommit&)>& fill) {
  std::promise<Result<void>> done;
  auto written = done.get_future();
  {
    auto held = hold();
    if (ended_) return no_more_commits();
    fill(held.open());
    held.open().waiting_.push_back(&done);
  }
  hurry();
  return written.get();
}

bool Lane::take(PendingCommit& taken) {
  due_.store(true, std::memory_order_release);
  bool whole = false;
  {
    const auto held = hold();
    whole = !torn_;
    if (whole && !open_.empty()) {
      std::swap(taken, open_);
      room_.notify_all();
    }
  }
  due_.store(false, std::memory_order_release);
  due_.notify_all();
  return whole;
}

// Those who wait are told, and those who come later.
void Lane::end(bool& lost) {
  const auto held = hold();
  ended_ = true;
  lost = lost || !open_.empty();
  open_.give_up();
  room_.notify_all();
  due_.store(false, std::memory_order_release);
  due_.notify_all();
}

}  // namespace qw::store
