#include "app/runtime/committer.h"

#include <algorithm>
#include <chrono>

#include "base/fail_point.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/nice.h"

namespace qw::app {
namespace {

Error no_more_commits() {
  return {ErrorCode::kUnavailable, "the application is stopping", "commit", ""};
}

}  // namespace

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
      options_(std::move(options)),
      durable_latency_(metrics.latency("quickwater_stage_latency_seconds",
                                       "From an event's arrival to the end of a stage.",
                                       {{"stage", "durable"}})) {}

Committer::~Committer() {
  give_up_at(0);
  stop();
}

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

bool Committer::wait_for_room(std::unique_lock<CommitMutex>& lock, int64_t limit_us) {
  return room_.wait_for(lock, microseconds(limit_us), [this] {
    return stopping_ || ended_ || open_.txn.bytes() < options_.max_pending_bytes;
  });
}

Result<void> Committer::wait_durable(const std::stop_token& stop) {
  const auto durable = std::make_shared<std::promise<void>>();
  auto done = durable->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return no_more_commits();
    open_.then.push_back([durable] { durable->set_value(); });
  }
  hurry();
  // A disk that refuses is tried again until it takes it.
  while (done.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (stop.stop_requested()) return no_more_commits();
    const std::lock_guard lock(mutex_);
    if (ended_) return no_more_commits();
  }
  return {};
}

Result<void> Committer::commit(const std::function<void(PendingCommit&)>& fill) {
  std::promise<Result<void>> done;
  auto written = done.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return no_more_commits();
    fill(open_);
    open_.waiting.push_back(&done);
  }
  hurry();
  return written.get();
}

void Committer::start() {
  thread_ = std::jthread([this] { run(); });
}

bool Committer::stop() {
  if (!thread_.joinable()) return !lost_;
  {
    const std::lock_guard lock(turn_mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  room_.notify_all();
  thread_.join();
  return !lost_;
}

void Committer::run() {
  be_prompt();
  int64_t turn_ns = clock_.monotonic_ns();
  while (true) {
    const bool goes_on = wait_for_turn(turn_ns);
    turn_ns = clock_.monotonic_ns();
    // A library that throws in the middle of a commit leaves the store as nobody knows it.
    const auto more = guarded("commit", [&] { return turn(goes_on); });
    if (!more.ok()) broken(more.error());
    if (!more.value_or(false)) return end(taken_);
  }
}

// One commit. False: there are no more.
bool Committer::turn(bool goes_on) {
  PendingCommit& taken = taken_;
  taken.clear();
  due_.store(true, std::memory_order_release);
  bool torn = false;
  {
    const std::lock_guard lock(mutex_);
    torn = mutex_.torn();
    if (!torn && !open_.empty()) std::swap(taken, open_);
  }
  due_.store(false, std::memory_order_release);
  due_.notify_all();
  if (torn) {
    broken({ErrorCode::kExhausted, "work on a commit broke off in the middle", "commit",
            "see the lines before; a start goes on from what is durable"});
    return false;
  }
  if (taken.empty()) return goes_on;
  room_.notify_all();
  if (!write(taken)) return false;
  const int64_t now_ns = clock_.monotonic_ns();
  for (const auto& [arrived_ns, rows] : taken.arrivals)
    for (uint32_t row = 0; row < rows; ++row) durable_latency_.record_ns(now_ns - arrived_ns);
  for (; !taken.waiting.empty(); taken.waiting.pop_back()) taken.waiting.back()->set_value({});
  for (const auto& follow : taken.then) follow();
  return true;
}

void Committer::broken(const Error& why) {
  lost_ = true;
  log::error("commit", "nothing more is committed: {}", why.to_string());
  if (options_.on_broken) options_.on_broken(why);
}

void Committer::end(PendingCommit& taken) {
  due_.store(false, std::memory_order_release);
  due_.notify_all();
  const std::lock_guard lock(mutex_);
  ended_ = true;
  if (!open_.empty()) lost_ = true;
  for (auto* commit : {&taken, &open_}) {
    for (auto* const done : commit->waiting) done->set_value(no_more_commits());
    commit->waiting.clear();
  }
  room_.notify_all();
}

bool Committer::write(PendingCommit& taken) {
  while (true) {
    const int64_t began_ns = clock_.monotonic_ns();
    fail_point("commit.before");
    const auto written = store_.commit(taken.txn, taken.durability);
    fail_point("commit.after");
    note(written, began_ns);
    if (written.ok()) return true;
    // Damage does not mend by itself; a start says what it is.
    if (written.error().code == ErrorCode::kCorrupt) {
      broken(written.error());
      return false;
    }
    if (clock_.monotonic_ns() >= give_up_ns_) {
      log::error("commit",
                 "giving up at shutdown; what was not acknowledged will be read again: {}",
                 written.error().to_string());
      lost_ = true;
      return false;
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
