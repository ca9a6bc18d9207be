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

#include "base/fail_point.h"
#include "base/files.h"
#include "base/log.h"
#include "base/nice.h"

namespace qw::app {
namespace {

using std::chrono::microseconds;
using store::Log;
using store::Segment;

constexpr size_t kAskedMax = 64;
constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};

Labels label_of(Log log) { return {{"log", std::string(store::name_of(log))}}; }

const Retention& retention_of(const AppFile& file, Log log) {
  switch (log) {
    case Log::kEvents: return file.retention.events;
    case Log::kDecisions: return file.retention.decisions;
    case Log::kJournal: return file.retention.journal;
    case Log::kDeadLetters: break;
  }
  return file.retention.dead_letters;
}

// Reading and compressing segments takes the processor only where events leave it. The roller's own
// thread takes locks that events wait for, and cannot be one of low priority.
template <class Work>
auto nicely(const Work& work) -> decltype(work()) {
  std::optional<decltype(work())> done;
  std::jthread([&] {
    be_nice();
    done.emplace(work());
  }).join();
  return std::move(*done);
}

Error stopped() { return {ErrorCode::kUnavailable, "the application is stopping", "segments", ""}; }

}  // namespace

Roller::Roller(std::shared_ptr<const Plan> plan, store::Store& store, Committer& committer,
               Pipeline& pipeline, const Clock& clock, MetricRegistry& metrics, Options options)
    : plan_(std::move(plan)),
      store_(store),
      committer_(committer),
      pipeline_(pipeline),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)) {}

Roller::~Roller() { stop(); }

Result<void> Roller::open() {
  QW_ASSIGN(const size_t removed, store::check_segments(store_));
  if (removed > 0)
    log::info("segments", "removed {} files of {} that no list names", removed,
              store::segment_folder(store_.folder()));
  QW_TRY(make_folders(store::segment_folder(store_.folder())));
  return write_views();
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
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, microseconds(plan_->file.segments.every_us),
                     [this] { return !asked_.empty(); });
      asked = std::exchange(asked_, {});
    }
    if (stop.stop_requested()) break;
    const auto looked = look(!asked.empty(), stop);
    if (stop.stop_requested()) break;
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
    QW_TRY(count(log, waiting));
    const bool full = waiting.bytes >= static_cast<uint64_t>(limits.size_bytes);
    const bool old = waiting.records > 0 && clock_.wall_us() - waiting.since_us >= limits.age_us;
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
                       if (waiting.since_us == 0) {
                         oldest = first_look_ ? written_us(log.log, record) : Result(now_us);
                         waiting.since_us = std::min(now_us, oldest.value_or(now_us));
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
    const std::lock_guard lock(committer_.mutex());
    QW_ASSIGN(const auto settled, pipeline_.settle(log.partition));
    if (settled) end = next(*settled);
  }
  QW_ASSIGN(const Gathered gathered, nicely([&] { return gather(log, end); }));
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
  segment.rolled_us = clock_.wall_us();
  const auto write = [&] {
    return store::write_segment(store_.folder(), segment, rows, options_.steps);
  };
  QW_ASSIGN(segment.bytes, nicely(write));
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
    const std::lock_guard lock(committer_.mutex());
    QW_ASSIGN(const auto settled, pipeline_.settle(segment.partition));
    if (settled && next(*settled) < segment.to) {
      std::error_code failed;
      std::filesystem::remove(store::segment_folder(store_.folder()) + "/" + segment.file(),
                              failed);
      return false;
    }
    store::add_segment(committer_.open().txn, segment);
    committer_.open().need(store::Durability::kMachine);
  }
  QW_TRY(committer_.wait_durable(stop));
  fail_point("segment.after_manifest");
  return true;
}

// Oldest first, until age and size are kept.
Result<void> Roller::retain(const std::stop_token& stop) {
  QW_ASSIGN(auto segments, store::all_segments(store_));
  std::stable_sort(segments.begin(), segments.end(),
                   [](const Segment& a, const Segment& b) { return a.rolled_us < b.rolled_us; });
  std::map<Log, uint64_t> bytes;
  for (const Segment& segment : segments) bytes[segment.log] += segment.bytes;
  std::vector<Segment> gone;
  const int64_t now_us = clock_.wall_us();
  for (const Segment& segment : segments) {
    const Retention& kept = retention_of(plan_->file, segment.log);
    if (now_us - segment.rolled_us <= kept.max_age_us &&
        bytes[segment.log] <= static_cast<uint64_t>(kept.max_size_bytes))
      continue;
    bytes[segment.log] -= segment.bytes;
    gone.push_back(segment);
  }
  if (gone.empty()) return {};
  return drop(gone, stop);
}

Result<void> Roller::drop(const std::vector<Segment>& gone, const std::stop_token& stop) {
  {
    const std::lock_guard lock(committer_.mutex());
    for (const Segment& segment : gone) store::drop_segment(committer_.open().txn, segment);
    // Else a power cut could bring the row back after its file went.
    committer_.open().need(store::Durability::kMachine);
  }
  QW_TRY(committer_.wait_durable(stop));
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
      if (partition.first == log && waiting.since_us > 0)
        age_us = std::max(age_us, clock_.wall_us() - waiting.since_us);
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
