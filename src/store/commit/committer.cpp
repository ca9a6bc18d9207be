#include "store/commit/committer.h"

#include <algorithm>
#include <chrono>

#include "base/fail_point.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/nice.h"
#include "store/commit/journal.h"

namespace qw::store {
namespace {

std::string spool_folder(const Store& store) { return store.folder() + "/spool"; }

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

Committer::Committer(Store& store, const Clock& clock, MetricRegistry& metrics,
                     CommitterOptions options)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      durable_latency_(metrics.latency("quickwater_stage_latency_seconds",
                                       "From an event's arrival to the end of a stage.",
                                       {{"stage", "durable"}})),
      taken_(turns_),
      of_lane_(turns_) {}

Committer::~Committer() {
  give_up_at(0);
  stop();
}

Result<void> Committer::open() {
  QW_TRY(recover());
  for (const Log log : {Log::kJournal, Log::kDeadLetters}) {
    QW_ASSIGN(last_row_[std::pair(log, kJournalPartition)],
              store_.last_seq(log, kJournalPartition));
  }
  QW_ASSIGN(const auto sinks, store_.outbox_sinks());
  for (const std::string& sink : sinks) {
    QW_ASSIGN(last_outbox_row_[sink], store_.last_outbox_seq(sink));
  }
  return {};
}

Result<void> Committer::recover() {
  Txn txn;
  QW_ASSIGN(const SpoolRecovery found, recover_spools(spool_folder(store_), store_, txn));
  for (const std::string& note : found.notes) log::warning("commit", "{}", note);
  if (found.files.empty() && !found.remembered) return {};
  if (found.records > 0)
    log::info("commit", "{} records of a process that was killed are taken in", found.records);
  // The files go, so the rows must outlive a power cut as they would have.
  QW_TRY(store_.commit(txn, Durability::kMachine));
  fail_point("spool.recovered");
  QW_TRY(remove_spools(found, txn));
  fail_point("spool.removed");
  return store_.commit(txn, Durability::kMachine);
}

Result<Spool*> Committer::spool() {
  QW_ASSERT(!thread_.joinable());
  QW_ASSIGN(auto made, Spool::create(spool_folder(store_), spools_.size() + 1));
  spools_.push_back(std::move(made));
  return spools_.back().get();
}

Lane& Committer::lane(std::string name) {
  QW_ASSERT(!thread_.joinable());
  lanes_.push_back(std::unique_ptr<Lane>(new Lane(*this, std::move(name))));
  return *lanes_.back();
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
  for (const auto& lane : lanes_) lane->room_.notify_all();
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
    if (!more.value_or(false)) return end();
  }
}

bool Committer::turn(bool goes_on) {
  if (!gather()) {
    broken({ErrorCode::kExhausted, "work on a commit broke off in the middle", "commit",
            "see the lines before; a start goes on from what is durable"});
    return false;
  }
  if (taken_.empty()) return goes_on;
  number_rows();
  if (!write()) return false;
  tell();
  return true;
}

Result<void> Committer::step() {
  QW_ASSERT(!thread_.joinable());
  if (!gather())
    return Error{ErrorCode::kExhausted, "work on a commit broke off in the middle", "commit", ""};
  number_rows();
  QW_TRY(store_.commit(taken_.txn, taken_.durability()));
  tell();
  return {};
}

bool Committer::gather() {
  taken_.clear();
  for (const auto& lane : lanes_) {
    if (!lane->take(of_lane_)) return false;
    if (!of_lane_.empty()) taken_.add(of_lane_);
  }
  for (const auto& spool : spools_) spool->drain(taken_.txn);
  return true;
}

void Committer::number_rows() {
  auto& rows = taken_.numbered_;
  std::sort(rows.begin(), rows.end(),
            [](const auto& one, const auto& other) { return one.turn < other.turn; });
  for (PendingCommit::NumberedRow& row : rows) {
    const bool of_log = row.sink.empty();
    Seq& last = of_log ? last_row_[{row.log, row.partition}] : last_outbox_row_[row.sink];
    last = next(last);
    if (of_log)
      taken_.txn.append(row.log, row.partition, last, row.bytes);
    else
      taken_.txn.put_outbox(row.sink, last, row.bytes);
    row.seq = last;
  }
}

void Committer::tell() {
  for (const auto& spool : spools_) spool->release();
  const int64_t now_ns = clock_.monotonic_ns();
  for (const auto& [arrived_ns, rows] : taken_.arrivals)
    for (uint32_t row = 0; row < rows; ++row) durable_latency_.record_ns(now_ns - arrived_ns);
  auto& waiting = taken_.waiting_;
  for (; !waiting.empty(); waiting.pop_back()) waiting.back()->set_value({});
  for (const PendingCommit::NumberedRow& row : taken_.numbered_)
    if (row.durable) row.durable(row.seq);
  for (const auto& follow : taken_.then) follow();
}

void Committer::broken(const Error& why) {
  lost_ = true;
  log::error("commit", "nothing more is committed: {}", why.to_string());
  if (options_.on_broken) options_.on_broken(why);
}

void Committer::end() {
  bool lost = lost_;
  taken_.give_up();
  of_lane_.give_up();
  for (const auto& lane : lanes_) lane->end(lost);
  lost_ = lost;
}

bool Committer::write() {
  while (true) {
    const int64_t began_ns = clock_.monotonic_ns();
    fail_point("commit.before");
    const auto written = store_.commit(taken_.txn, taken_.durability());
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

}  // namespace qw::store
