#include "app/runtime/roller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "app/runtime/log_tails.h"
#include "app/runtime/retention.h"
#include "base/fail_point.h"
#include "base/files.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/nice.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

using std::chrono::microseconds;
using store::Log;
using store::Segment;

constexpr size_t kAskedMax = 64;
constexpr int64_t kTailsKeptNs = 600'000'000'000;  // for who asked and was killed
constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};
constexpr int64_t kSaveClockNs = 60'000'000'000;

Labels label_of(Log log) { return {{"log", std::string(store::name_of(log))}}; }

// Reading and compressing segments takes the processor only where events leave it. The roller's own
// thread takes locks that events wait for, and cannot be one of low priority. `urgent`: somebody
// waits for it; on a busy machine that would be for ever.
template <class Work>
auto nicely(bool urgent, const std::stop_token& stop, const Work& work) -> decltype(work()) {
  if (urgent) return work();
  std::optional<decltype(work())> done;
  const auto begun = guarded("segments", [&] {
    std::jthread([&] {
      be_nice();
      // On a busy machine a stop would wait for ever for what takes only what others leave.
      const std::stop_callback hurry(stop, [self = this_thread()] { be_ordinary(self); });
      done.emplace(guarded("segments", work));
    }).join();
  });
  // A machine that gives no thread gets the work done on this one.
  return done ? std::move(*done) : work();
}

int64_t monotonic_us(const Clock& clock) { return clock.monotonic_ns() / 1000; }

// Whose events carry the time of another clock than this machine's.
bool is_independent(const Source& source) {
  if (std::holds_alternative<HostSource>(source.kind) || source.event_time.text.empty())
    return false;
  const auto* file = std::get_if<FileSource>(&source.kind);
  return file == nullptr || file->mode != FileMode::kReplay;
}

Error stopped() { return {ErrorCode::kUnavailable, "the application is stopping", "segments", ""}; }

}  // namespace

Roller::Roller(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
               store::Checkpointer& checkpointer, Pipeline& pipeline, const Clock& clock,
               MetricRegistry& metrics, Options options)
    : plan_(std::move(plan)),
      store_(store),
      lane_(lane),
      checkpointer_(checkpointer),
      pipeline_(pipeline),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)) {}

Roller::~Roller() { stop(); }

Result<std::vector<store::Loss>> Roller::open() {
  QW_ASSIGN(const store::SegmentCheck check, store::check_segments(store_, options_.accept_loss));
  for (const store::Loss& loss : check.losses)
    log::warning("segments", "{}: {}: going on without it, as told", loss.where, loss.what);
  if (check.removed > 0)
    log::info("segments", "removed {} files of {} that a crash left behind", check.removed,
              store::segment_folder(store_.folder()));
  for (const std::string& place : check.aside)
    log::warning("segments",
                 "no list names this segment, and its records are nowhere else: kept as {}", place);
  QW_ASSIGN(const auto clock, store_.get_meta(store::meta::kClockTrust));
  clock_trust_.emplace(clock_, clock.value_or(""));
  QW_TRY(make_folders(store::segment_folder(store_.folder())));
  std::error_code failed;
  std::filesystem::remove_all(store::segment_folder(store_.folder()) + "/" + kTailsFolder, failed);
  QW_TRY(write_views());
  return check.losses;
}

void Roller::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Roller::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Roller::answer(const std::vector<Done>& asked, const Result<void>& rolled) {
  for (const Done& done : asked) done(rolled);
}

void Roller::roll_soon(Done done) {
  Result<void> refused;
  {
    const std::lock_guard lock(mutex_);
    if (ended_)
      refused = stopped();
    else if (asked_.size() >= kAskedMax)
      refused = Error{ErrorCode::kExhausted, fmt::format("{} wait for that already", kAskedMax),
                      "segments", "try again in a second"};
    else
      asked_.push_back(std::move(done));
  }
  if (!refused.ok()) return done(refused);
  wake_.notify_all();
}

void Roller::tails_soon(TailsDone done) {
  Result<Tails> refused = stopped();
  {
    const std::lock_guard lock(mutex_);
    if (!ended_ && tails_asked_.size() < kAskedMax) {
      tails_asked_.push_back(std::move(done));
      wake_.notify_all();
      return;
    }
    if (!ended_)
      refused = Error{ErrorCode::kExhausted, fmt::format("{} wait for that already", kAskedMax),
                      "segments", "try again in a second"};
  }
  done(refused);
}

Result<Roller::Tails> Roller::write_tails_now(const std::stop_token& stop) {
  remove_old_tails();
  const std::string name = fmt::format("{}/{}", kTailsFolder, ++tails_made_);
  const std::string folder = store::segment_folder(store_.folder()) + "/" + name;
  tails_.emplace_back(clock_.monotonic_ns() + kTailsKeptNs, folder);
  // Somebody waits for it: not at the low priority of what nobody waits for.
  auto views = write_tails(*plan_, store_, folder, [&] { return !stop.stop_requested(); });
  if (views.ok()) return Tails{name, std::move(views).value()};
  std::error_code failed;
  std::filesystem::remove_all(folder, failed);
  return views.error();
}

void Roller::remove_old_tails() {
  while (!tails_.empty() && tails_.front().first <= clock_.monotonic_ns()) {
    std::error_code failed;
    std::filesystem::remove_all(tails_.front().second, failed);
    tails_.pop_front();
  }
}

Result<void> Roller::roll_now(int64_t limit_us) {
  const auto rolled = std::make_shared<std::promise<Result<void>>>();
  auto answer = rolled->get_future();
  roll_soon([rolled](const Result<void>& done) { rolled->set_value(done); });
  if (answer.wait_for(microseconds(limit_us)) != std::future_status::ready)
    return Error{ErrorCode::kTimeout, "the logs are not rolled in time", "segments", ""};
  return answer.get();
}

void Roller::run(const std::stop_token& stop) {
  std::vector<Done> asked;
  int64_t next_look_ns = clock_.monotonic_ns() + plan_->file.segments.every_us * 1000;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      const int64_t wait_ns = std::max<int64_t>(0, next_look_ns - clock_.monotonic_ns());
      wake_.wait_for(lock, stop, microseconds(wait_ns / 1000),
                     [this] { return !asked_.empty() || !tails_asked_.empty(); });
      asked = std::exchange(asked_, {});
      rolls_wanted_ = !asked.empty();
    }
    answer_tails(stop);
    if (stop.stop_requested()) break;
    // However often somebody asks for tails, what is due is rolled.
    if (asked.empty() && clock_.monotonic_ns() < next_look_ns) continue;
    const auto looked = guarded("segments", [&] { return look(!asked.empty(), stop); });
    if (stop.stop_requested()) break;
    next_look_ns = clock_.monotonic_ns() + plan_->file.segments.every_us * 1000;
    note(looked);
    answer(std::exchange(asked, {}), looked);
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;  // nobody waits any longer
    asked.insert(asked.end(), asked_.begin(), asked_.end());
    asked_.clear();
  }
  answer(asked, stopped());
  for (const TailsDone& done : take_tails_asked()) done(stopped());
}

std::vector<Roller::TailsDone> Roller::take_tails_asked() {
  const std::lock_guard lock(mutex_);
  return std::exchange(tails_asked_, {});
}

// Also between two segments: rolling a backlog takes long, and a question does not wait for it.
void Roller::answer_tails(const std::stop_token& stop) {
  for (const TailsDone& done : take_tails_asked())
    done(guarded("segments", [&] { return write_tails_now(stop); }));
}

bool Roller::urgent() const {
  const std::lock_guard lock(mutex_);
  return rolls_wanted_ || !asked_.empty() || !tails_asked_.empty();
}

void Roller::note(const Result<void>& looked) {
  if (!looked.ok()) {
    metrics_
        .counter("quickwater_segment_failures_total",
                 "Segments that could not be written or removed; tried again.")
        .add();
    if (!failing_)
      log::error("segments", "cannot write segments; nothing is lost, it is tried again: {}",
                 looked.error().to_string());
  } else if (failing_) {
    log::info("segments", "segments are written again");
  }
  failing_ = !looked.ok();
}

// One log that fails does not keep the others; the first failure is told.
Result<void> Roller::look(bool all, const std::stop_token& stop) {
  QW_ASSIGN(const auto logs, rolled_logs(*plan_, store_));
  Result<void> done;
  for (const RolledLog& log : logs) {
    if (stop.stop_requested()) return stopped();
    const auto rolled = roll_log(log, all, stop);
    if (done.ok()) done = rolled;
  }
  first_look_ = false;
  const auto retained = retain(stop);
  if (done.ok()) done = retained;
  unlink_dropped();
  measure();
  return done;
}

Result<void> Roller::roll_log(const RolledLog& log, bool all, const std::stop_token& stop) {
  Waiting& waiting = waiting_[{log.log, log.partition}];
  const SegmentSettings& limits = plan_->file.segments;
  while (!stop.stop_requested()) {
    answer_tails(stop);
    QW_TRY(count(log, waiting));
    const bool full = waiting.bytes >= static_cast<uint64_t>(limits.size_bytes);
    const bool old =
        waiting.records > 0 && monotonic_us(clock_) - waiting.since_us >= limits.age_us;
    if (!full && !old && !(all && waiting.records > 0)) return {};
    const int64_t began_ns = clock_.monotonic_ns();
    QW_ASSIGN(const bool rolled, roll(log, all || old, stop));
    if (!rolled) return {};
    waiting = Waiting();
    // Half a core at the most: live events come first.
    if (full) clock_.sleep_us((clock_.monotonic_ns() - began_ns) / 1000);
  }
  return stopped();
}

// Reads each record once, as far as one segment.
Result<void> Roller::count(const RolledLog& log, Waiting& waiting) {
  Result<int64_t> oldest = int64_t{0};
  const auto size = static_cast<uint64_t>(plan_->file.segments.size_bytes);
  if (waiting.bytes >= size) return {};
  if (waiting.counted == Seq{}) {
    QW_ASSIGN(const Seq begin, store_.scan_tail(log.log, log.partition, Seq{}, Seq{}, {}));
    waiting.counted = Seq{begin.value() - 1};
  }
  const int64_t now_us = clock_.wall_us();
  QW_TRY(store_.scan(log.log, log.partition, next(waiting.counted), kEnd,
                     [&](Seq seq, std::string_view record) {
                       // What was there before this start is as old as it says.
                       if (waiting.records == 0) {
                         oldest = first_look_ ? written_us(log.log, record) : Result(now_us);
                         const int64_t age_us = now_us - oldest.value_or(now_us);
                         waiting.since_us = monotonic_us(clock_) - std::max<int64_t>(age_us, 0);
                       }
                       waiting.counted = seq;
                       waiting.bytes += record.size();
                       ++waiting.records;
                       return waiting.bytes < size;
                     }));
  return {};
}

Result<bool> Roller::roll(const RolledLog& log, bool small_too, const std::stop_token& stop) {
  Seq end = kEnd;
  {
    const auto held = lane_.hold();
    const auto settled = checkpointer_.settle(log.partition);
    if (settled) end = next(*settled);
  }
  QW_ASSIGN(const Gathered gathered, nicely(urgent(), stop, [&] { return gather(log, end); }));
  const store::SegmentRows& rows = gathered.rows;
  const auto size = static_cast<uint64_t>(plan_->file.segments.size_bytes);
  small_too = small_too || gathered.schema_ended;
  if (rows.seqs.empty() || (!small_too && rows.record_bytes < size / 2)) return false;
  Segment segment;
  segment.log = log.log;
  segment.partition = log.partition;
  QW_ASSIGN(segment.from, store_.scan_tail(log.log, log.partition, Seq{}, Seq{}, {}));
  segment.to = next(rows.seqs.back());
  segment.records = rows.seqs.size();
  segment.schema_id = rows.columns.schema().fingerprint();
  look_at_clock();
  segment.rolled_us = clock_.wall_us();
  segment.dated = clock_trust_->believed();
  QW_TRY(nicely(urgent(), stop, [&] {
    return store::write_segment(store_.folder(), segment, rows, options_.steps);
  }));
  QW_ASSIGN(const bool put, put_into_manifest(segment, stop));
  if (!put) return false;
  metrics_.counter("quickwater_segments_rolled_total", "Segments written.", label_of(log.log))
      .add();
  QW_TRY(write_views());
  return true;
}

// The oldest records below `end` that have the same columns, as many as a segment takes: a file has
// the columns of the schema that its records were written under, whatever the application has now.
Result<Roller::Gathered> Roller::gather(const RolledLog& log, Seq end) const {
  Gathered gathered{store::SegmentRows(std::make_shared<const schema::Schema>())};
  const auto size = static_cast<uint64_t>(plan_->file.segments.size_bytes);
  Result<void> read;
  QW_TRY(store_.scan(log.log, log.partition, Seq{}, end, [&](Seq seq, std::string_view record) {
    const auto row = log.row(record);
    if (!row.ok()) {
      read = row.error();
      return false;
    }
    if (gathered.rows.seqs.empty()) gathered.rows = store::SegmentRows(row->columns);
    const auto& columns = gathered.rows.columns.schema_ptr();
    gathered.schema_ended = row->columns != columns && *row->columns != *columns;
    if (gathered.schema_ended) return false;
    gathered.rows.columns.append_row(row->cells);
    gathered.rows.add(seq, record);
    return gathered.rows.record_bytes < size;
  }));
  QW_TRY(read);
  return gathered;
}

// The file is durable. False: a version came meanwhile whose states need these records.
Result<bool> Roller::put_into_manifest(const Segment& segment, const std::stop_token& stop) {
  fail_point("segment.before_manifest");
  {
    const auto held = lane_.hold();
    const auto settled = checkpointer_.settle(segment.partition);
    if (settled && next(*settled) < segment.to) {
      std::error_code failed;
      std::filesystem::remove(store::segment_folder(store_.folder()) + "/" + segment.file(),
                              failed);
      return false;
    }
    store::add_segment(lane_.open().txn, segment);
    lane_.open().need(store::Durability::kMachine);
  }
  QW_TRY(lane_.wait_durable(stop));
  fail_point("segment.after_manifest");
  return true;
}

void Roller::look_at_clock() {
  std::optional<int64_t> newest_us;
  {
    const auto held = lane_.hold();
    for (const PartitionProgress& at : pipeline_.progress())
      if (at.watermark.value() > 0 && is_independent(*plan_->sources[at.source].file))
        newest_us = std::max(newest_us.value_or(at.watermark.value()), at.watermark.value());
  }
  clock_trust_->look(newest_us);
  metrics_
      .gauge("quickwater_clock_believed_info",
             "1 while the clock may make segments too old to be kept; 0 after it was set.")
      .set(clock_trust_->believed() ? 1 : 0);
}

// The clock is kept for the next start, which compares. That it is not believed is said once.
void Roller::remember_clock() {
  const bool believed = clock_trust_->believed();
  if (believed != clock_believed_) {
    const int64_t off_s = clock_trust_->off_us() / 1'000'000;
    if (believed)
      log::info("segments", "the clock is believed: retention goes by age, too");
    else if (off_s == 0)  // a first start
      log::info("segments", "retention goes by age once events agree with the clock, or in a day");
    else
      log::warning("segments",
                   "the clock is {} s off what was expected: retention removes nothing for its age "
                   "until events are about as old as it says, or it has run for a day",
                   off_s);
    clock_believed_ = believed;
  }
  const std::string saved = clock_trust_->saved();
  if (saved.empty() ||
      (clock_saved_ns_ != 0 && clock_.monotonic_ns() - clock_saved_ns_ < kSaveClockNs))
    return;
  clock_saved_ns_ = std::max<int64_t>(clock_.monotonic_ns(), 1);
  const auto held = lane_.hold();
  lane_.open().txn.put_meta(store::meta::kClockTrust, saved);
}

// They were written while the clock was not believed: from now on they grow old.
void Roller::date(const std::vector<Segment>& segments) {
  const auto held = lane_.hold();
  for (Segment segment : segments) {
    segment.rolled_us = clock_.wall_us();
    segment.dated = true;
    store::change_segment(lane_.open().txn, segment);
  }
}

Result<void> Roller::retain(const std::stop_token& stop) {
  look_at_clock();
  remember_clock();
  QW_ASSIGN(auto segments, store::all_segments(store_));
  const bool believed = clock_trust_->believed();
  const Retained now =
      retained(std::move(segments), plan_->file.retention, clock_.wall_us(), believed);
  if (believed) date(now.undated);
  return now.gone.empty() ? Result<void>() : drop(now.gone, stop);
}

Result<void> Roller::drop(const std::vector<Segment>& gone, const std::stop_token& stop) {
  {
    const auto held = lane_.hold();
    for (const Segment& segment : gone) store::drop_segment(lane_.open().txn, segment);
    // Else a power cut could bring the row back after its file went.
    lane_.open().need(store::Durability::kMachine);
  }
  QW_TRY(lane_.wait_durable(stop));
  fail_point("segment.dropped");
  QW_TRY(write_views());
  for (const Segment& segment : gone) {
    metrics_
        .counter("quickwater_segments_removed_total", "Segments that retention removed.",
                 label_of(segment.log))
        .add();
    dropped_.emplace_back(clock_.monotonic_ns() + options_.grace_us * 1000, segment.file());
  }
  log::info("segments", "retention removed {} segments", gone.size());
  return {};
}

void Roller::unlink_dropped() {
  while (!dropped_.empty() && dropped_.front().first <= clock_.monotonic_ns()) {
    std::error_code failed;  // the next start removes it
    std::filesystem::remove(store::segment_folder(store_.folder()) + "/" + dropped_.front().second,
                            failed);
    dropped_.pop_front();
  }
}

Result<void> Roller::write_views() const {
  QW_ASSIGN(const std::string views, segment_views(*plan_, store_));
  return write_file_atomically(
      fmt::format("{}/{}", store::segment_folder(store_.folder()), store::kViewsFile), views);
}

void Roller::measure() {
  const auto segments = store::all_segments(store_);
  if (!segments.ok()) return;
  for (const Log log : store::kLogs) {
    uint64_t bytes = 0, count = 0;
    for (const Segment& segment : *segments) {
      if (segment.log != log) continue;
      bytes += segment.bytes;
      ++count;
    }
    int64_t age_us = 0;
    for (const auto& [partition, waiting] : waiting_)
      if (partition.first == log && waiting.records > 0)
        age_us = std::max(age_us, monotonic_us(clock_) - waiting.since_us);
    metrics_.gauge("quickwater_segment_bytes", "Bytes of the segments.", label_of(log))
        .set(static_cast<double>(bytes));
    metrics_.gauge("quickwater_segment_files", "Segments that are kept.", label_of(log))
        .set(static_cast<double>(count));
    metrics_
        .gauge("quickwater_unrolled_age_seconds",
               "How long the oldest record waits to be rolled into a segment.", label_of(log))
        .set(static_cast<double>(age_us) * 1e-6);
  }
}

}  // namespace qw::app
