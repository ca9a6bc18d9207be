#include "app/runtime/committer.h"

#include <algorithm>
#include <chrono>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/nice.h"

namespace qw::app {

using std::chrono::microseconds;

std::string_view name_of(CommitState state) {
  switch (state) {
    case CommitState::kOk: return "ok";
    case CommitState::kSlow: return "slow";
    case CommitState::kDiskFull: return "disk_full";
    case CommitState::kFailing: return "failing";
  }
  return "unknown";
}

void PendingCommit::clear() {
  txn.clear();
  durability = store::Durability::kProcess;
  waiting.clear();
  then.clear();
  arrivals.clear();
}

Committer::Committer(store::Store& store, const Clock& clock, MetricRegistry& metrics,
                     CommitterOptions options)
    : store_(store),
      clock_(clock),
      options_(options),
      durable_latency_(metrics.latency("quickwater_stage_latency_seconds",
                                       "From an event's arrival to the end of a stage.",
                                       {{"stage", "durable"}})) {}

Committer::~Committer() { static_cast<void>(stop(0)); }

void Committer::hurry() {
  {
    const std::lock_guard lock(turn_mutex_);
    hurry_ = true;
  }
  work_.notify_one();
}

bool Committer::wait_for_turn(int64_t last_turn_ns) {
  // From turn to turn: what a commit takes is not added to what the next one waits.
  const int64_t gone_us = (clock_.monotonic_ns() - last_turn_ns) / 1000;
  std::unique_lock lock(turn_mutex_);
  work_.wait_for(lock, microseconds(std::max<int64_t>(options_.interval_us - gone_us, 0)),
                 [this] { return hurry_ || stopping_; });
  hurry_ = false;
  return !stopping_;
}

bool Committer::wait_for_room(std::unique_lock<std::mutex>& lock, int64_t limit_us) {
  return room_.wait_for(lock, microseconds(limit_us), [this] {
    return stopping_ || open_.txn.bytes() < options_.max_pending_bytes;
  });
}

Result<void> Committer::wait_durable(const std::stop_token& stop) {
  const auto durable = std::make_shared<std::promise<void>>();
  auto done = durable->get_future();
  {
    const std::lock_guard lock(mutex_);
    open_.then.push_back([durable] { durable->set_value(); });
  }
  hurry();
  // A disk that refuses is tried again until it takes it.
  while (done.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready)
    if (stop.stop_requested())
      return Error{ErrorCode::kUnavailable, "the application is stopping", "commit", ""};
  return {};
}

void Committer::start() {
  thread_ = std::jthread([this] { run(); });
}

Result<void> Committer::stop(int64_t limit_ms) {
  if (!thread_.joinable()) return {};
  {
    const std::lock_guard lock(turn_mutex_);
    give_up_ns_ = clock_.monotonic_ns() + limit_ms * 1'000'000;
    stopping_ = true;
  }
  work_.notify_one();
  room_.notify_all();
  thread_.join();
  if (gave_up_) return *gave_up_;
  return {};
}

void Committer::run() {
  be_prompt();
  int64_t turn_ns = clock_.monotonic_ns();
  while (true) {
    const bool goes_on = wait_for_turn(turn_ns);
    turn_ns = clock_.monotonic_ns();
    PendingCommit& taken = taken_;
    taken.clear();
    due_.store(true, std::memory_order_release);
    {
      const std::lock_guard lock(mutex_);
      if (!open_.empty()) std::swap(taken, open_);
    }
    due_.store(false, std::memory_order_release);
    due_.notify_all();
    if (taken.empty()) {
      if (!goes_on) return;
      continue;
    }
    room_.notify_all();
    if (!write(taken)) return refuse(taken);
    const int64_t now_ns = clock_.monotonic_ns();
    for (const auto& [arrived_ns, rows] : taken.arrivals)
      for (uint32_t row = 0; row < rows; ++row) durable_latency_.record_ns(now_ns - arrived_ns);
    for (auto* const done : taken.waiting) done->set_value({});
    for (const auto& follow : taken.then) follow();
  }
}

void Committer::refuse(PendingCommit& taken) {
  std::lock_guard lock(mutex_);
  for (auto* commit : {&taken, &open_}) {
    for (auto* const done : commit->waiting)
      done->set_value(Error{ErrorCode::kUnavailable, "the application is stopping", "commit", ""});
    commit->waiting.clear();
  }
}

bool Committer::write(PendingCommit& taken) {
  while (true) {
    const int64_t began_ns = clock_.monotonic_ns();
    fail_point("commit.before");
    const auto written = store_.commit(taken.txn, taken.durability);
    fail_point("commit.after");
    note(written, began_ns);
    if (written.ok()) return true;
    {
      if (stopping_ && clock_.monotonic_ns() >= give_up_ns_) {
        log::error("commit",
                   "giving up at shutdown; what was not acknowledged will be read again: {}",
                   written.error().to_string());
        gave_up_ = written.error();
        return false;
      }
    }
    clock_.sleep_us(options_.retry_us);
  }
}

void Committer::note(const Result<void>& written, int64_t began_ns) {
  std::lock_guard lock(status_mutex_);
  const CommitState before = status_.state;
  if (written.ok()) {
    status_.last_us = (clock_.monotonic_ns() - began_ns) / 1000;
    status_.last_ended_wall_us = clock_.wall_us();
    status_.state = status_.last_us > options_.slow_us ? CommitState::kSlow : CommitState::kOk;
    status_.message.clear();
    ++status_.commits;
  } else {
    status_.state = written.error().code == ErrorCode::kExhausted ? CommitState::kDiskFull
                                                                  : CommitState::kFailing;
    status_.message = written.error().to_string();
  }
  if (before == status_.state) return;
  if (written.ok())
    log::info("commit", "commits go on ({})", name_of(status_.state));
  else
    log::error("commit", "cannot commit; intake pauses and goes on by itself: {}", status_.message);
}

Committer::Status Committer::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace qw::app
