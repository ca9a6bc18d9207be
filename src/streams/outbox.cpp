#include "streams/outbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <map>

#include "base/bytes.h"
#include "base/ended.h"
#include "base/fail_point.h"
#include "base/guard.h"
#include "base/log.h"
#include "schema/stored_record.h"
#include "store/commit/journal_kinds.h"
#include "store/commit/meta_names.h"
#include "store/store.h"

namespace qw::streams {
namespace {

constexpr uint8_t kTriesKind = 46, kTriesVersion = 1;
constexpr int64_t kSaveTriesNs = 1'000'000'000;
constexpr int64_t kAnyTime = std::numeric_limits<int64_t>::max() / 1000;
constexpr int64_t kTickNs = 1'000'000'000;
constexpr int64_t kMaxAskedDelayMs = 3'600'000;  // Retry-After beyond an hour is cut

// The row that fails: how often it was tried, and how long ago, while the process ran, it first
// failed.
struct Tries {
  Seq seq;
  uint64_t attempts = 0;
  int64_t failing_us = 0;
};

std::string encode_tries(const Tries& tries) {
  std::string body, out;
  ByteWriter writer(body);
  writer.u64(tries.seq.value());
  writer.u64(tries.attempts);
  writer.i64(tries.failing_us);
  seal_record(kTriesKind, kTriesVersion, body, out);
  return out;
}

Result<Tries> decode_tries(std::string_view bytes) {
  constexpr std::string_view kWhat = "the tries of an outbox";
  QW_ASSIGN(ByteReader reader, schema::open_stored(bytes, kTriesKind, kTriesVersion, kWhat));
  Tries tries;
  tries.seq = Seq{reader.u64()};
  tries.attempts = reader.u64();
  tries.failing_us = reader.i64();
  if (!reader.done()) return schema::damaged_record(kWhat);
  return tries;
}

class StoreReader final : public OutboxReader {
 public:
  StoreReader(const store::Store& store, std::string sink)
      : store_(store), sink_(std::move(sink)) {}

  Result<std::vector<PendingRow>> read(Seq from, size_t limit) override {
    std::vector<PendingRow> rows;
    Result<void> outcome;
    QW_TRY(store_.scan_outbox(sink_, from, limit, [&](Seq seq, std::string_view bytes) {
      auto row = decode_outbox_row(bytes);
      if (!row.ok()) {
        outcome = std::move(row).error();
        return false;
      }
      rows.push_back({seq, std::move(row).value()});
      return true;
    }));
    QW_TRY(std::move(outcome));
    return rows;
  }
  Result<Seq> last() override { return store_.last_outbox_seq(sink_); }
  Result<std::optional<std::string>> saved_state() override {
    return store_.get_meta(store::meta::outbox_state(sink_));
  }
  Result<std::optional<std::string>> saved_tries() override {
    return store_.get_meta(store::meta::outbox_tries(sink_));
  }

 private:
  const store::Store& store_;
  std::string sink_;
};

}  // namespace

std::unique_ptr<OutboxReader> read_outbox_of(const store::Store& store, std::string sink) {
  return std::make_unique<StoreReader>(store, std::move(sink));
}

Result<OnFull> parse_on_full(std::string_view text) {
  if (text == "pause") return OnFull::kPause;
  if (text == "drop_counted") return OnFull::kDropCounted;
  return Error{ErrorCode::kBadInput, fmt::format("unknown on_full '{}'", text), "",
               "known: pause, drop_counted"};
}

int64_t backoff_ms(int failures, int64_t first_ms, int64_t max_ms, Random& random) {
  int64_t most = first_ms;
  for (int i = 1; i < failures && most < max_ms; ++i) most *= 2;
  most = std::min(most, max_ms);
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(most) + 1));
}

struct OutboxWorker::Impl {
  struct Metrics {
    Counter &delivered, &retried, &refused, &expired, &failed, &dropped, &superseded;
    Gauge &waiting, &circuit_open;
    LatencyHistogram& latency;
  };

  Impl(OutboxOptions o, std::unique_ptr<Sink> s, std::unique_ptr<OutboxReader> r, OutboxHost& h,
       const Clock& c, MetricRegistry& m, uint64_t seed)
      : options(std::move(o)),
        sink(std::move(s)),
        reader(std::move(r)),
        host(h),
        clock(c),
        random(seed),
        metrics{
            counter(m, "delivered"),
            counter(m, "retried"),
            counter(m, "refused"),
            counter(m, "expired"),
            counter(m, "failed"),
            counter(m, "dropped"),
            counter(m, "superseded"),
            m.gauge("quickwater_outbox_waiting_rows", "Rows not delivered yet.", labels()),
            m.gauge("quickwater_outbox_circuit_open_info", "1: the receiver seems away.", labels()),
            m.latency("quickwater_delivered_seconds", "From a row's making to its delivery.",
                      labels())} {}

  Labels labels() const { return {{"sink", options.sink}}; }
  Counter& counter(MetricRegistry& m, const char* what) const {
    return m.counter(fmt::format("quickwater_outbox_{}_total", what),
                     fmt::format("Rows {} by the delivery worker.", what), labels());
  }

  bool step();
  Result<void> find_position();
  bool open();
  bool settle();
  std::vector<PendingRow> sort_out(std::vector<PendingRow> rows);
  void passed();
  void stage_outcome(const std::vector<PendingRow>& rows, const DeliveryReport& report);
  void give_up(const PendingRow& row, std::string_view kind, const std::string& reason);
  void give_up_ourselves(const PendingRow& row, std::string_view kind, const std::string& reason);
  Result<void> take_up_tries();
  void count_try(const PendingRow& row, const std::string& reason);
  bool tried_enough(const PendingRow& row);
  int64_t left_us() const;
  void erase(Seq seq);
  void tick();
  void failed(const std::string& reason, int64_t asked_ms, int64_t most_us = kAnyTime);
  void succeeded();
  void run();
  void publish();
  // Under the mutex.
  uint64_t waiting() const {
    return (last_committed > done ? last_committed.value() - done.value() : 0) + aside.size();
  }

  const OutboxOptions options;
  const std::unique_ptr<Sink> sink;
  const std::unique_ptr<OutboxReader> reader;
  OutboxHost& host;
  const Clock& clock;
  Random random;
  Metrics metrics;

  // The worker's own.
  bool opened = false;
  bool positioned = false;
  Seq next{1};
  Tries tries;                            // as of tries_ns
  std::optional<int64_t> tries_ns;        // nothing: not tried by this process
  std::optional<int64_t> saved_tries_ns;  // when they were last made durable
  std::string last_reason;
  // What is done but not durable yet: before it is, nothing more is sent.
  std::vector<Seq> ended;
  std::vector<schema::JournalRecord> pending_records;
  std::optional<std::string> pending_state, pending_tries;
  int64_t last_tick_ns = 0;
  std::atomic<int64_t> next_try_ns{0};

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable wakeup;
  OutboxStatus status;
  Seq last_committed{0};
  Seq done{0};                    // rows up to it are delivered, given up, or aside
  std::map<Seq, uint32_t> aside;  // rows that let others pass -> partition of their origin
  bool stopping = false;
  Ended thread_ended;
  std::thread thread;
};

void OutboxWorker::Impl::failed(const std::string& reason, int64_t asked_ms, int64_t most_us) {
  std::lock_guard lock(mutex);
  ++status.failures_in_a_row;
  status.last_trouble = reason;
  const bool was_open = status.circuit_open;
  status.circuit_open = status.failures_in_a_row >= options.failures_to_open;
  if (status.circuit_open && !was_open)
    log::warning("sink." + options.sink, "the receiver seems away: {}", reason);
  metrics.circuit_open.set(status.circuit_open ? 1 : 0);
  const int64_t wait_ms = std::max(backoff_ms(status.failures_in_a_row, options.first_backoff_ms,
                                              options.max_backoff_ms, random),
                                   std::min(asked_ms, kMaxAskedDelayMs));
  next_try_ns = clock.monotonic_ns() + std::min(wait_ms * 1000, most_us) * 1000;
}

void OutboxWorker::Impl::succeeded() {
  std::lock_guard lock(mutex);
  if (status.circuit_open) log::info("sink." + options.sink, "the receiver is back");
  status.failures_in_a_row = 0;
  status.circuit_open = false;
  metrics.circuit_open.set(0);
  next_try_ns = 0;
}

void OutboxWorker::Impl::erase(Seq seq) {
  ended.push_back(seq);
  next = qw::next(seq);
}

// What lies before `next` is done with, for now; what was put aside lies there, too.
void OutboxWorker::Impl::passed() {
  const std::lock_guard lock(mutex);
  for (const Seq seq : ended) aside.erase(seq);
  done = std::max(done, Seq{next.value() - 1});
}

// Those whose turn it is.
std::vector<PendingRow> OutboxWorker::Impl::sort_out(std::vector<PendingRow> rows) {
  std::vector<PendingRow> now;
  size_t arrived = 0;
  const Seq behind = qw::next(rows.back().seq);
  for (PendingRow& row : rows) {
    const Turn turn = sink->turn_of(row);
    if (turn == Turn::kNow) {
      now.push_back(std::move(row));
    } else if (turn == Turn::kArrived) {
      ++arrived;
      ended.push_back(row.seq);
    } else {
      const std::lock_guard lock(mutex);
      aside.emplace(row.seq, row.row.origin.partition);
    }
  }
  next = now.empty() ? behind : now.front().seq;
  passed();
  if (arrived == 0) return now;
  log::info("sink." + options.sink, "{} rows were there already: they are dropped", arrived);
  metrics.superseded.add(arrived);
  const std::lock_guard lock(mutex);
  status.superseded += arrived;
  return now;
}

// Where the outbox begins and ends, from the store.
Result<void> OutboxWorker::Impl::find_position() {
  if (positioned) return {};
  // In this order: a row that is committed in between is found.
  QW_ASSIGN(const Seq last, reader->last());
  QW_ASSIGN(const auto first, reader->read(Seq{0}, 1));
  next = first.empty() ? qw::next(last) : first.front().seq;
  positioned = true;
  std::lock_guard lock(mutex);
  last_committed = std::max(last_committed, last);
  done = Seq{next.value() - 1};
  return {};
}

bool OutboxWorker::Impl::open() {
  if (opened) return true;
  if (auto found = find_position(); !found.ok()) {
    failed(found.error().to_string(), 0);
    return false;
  }
  auto saved = reader->saved_state();
  if (!saved.ok()) {
    failed(saved.error().to_string(), 0);
    return false;
  }
  if (auto taken = take_up_tries(); !taken.ok()) {
    failed(taken.error().to_string(), 0);
    return false;
  }
  auto start = sink->open(saved->value_or(""));
  if (!start.ok()) {
    failed(start.error().to_string(), 0);
    return false;
  }
  opened = true;
  succeeded();
  // What the sink already has must leave the outbox unsent.
  while (start->delivered_up_to.value() > 0) {
    auto rows = reader->read(next, 1000);
    if (!rows.ok()) {
      opened = false;
      failed(rows.error().to_string(), 0);
      return false;
    }
    if (rows->empty() || rows->front().seq > start->delivered_up_to) break;
    for (const PendingRow& row : *rows)
      if (row.seq <= start->delivered_up_to) erase(row.seq);
    if (rows->back().seq >= start->delivered_up_to) break;
  }
  return true;
}

// Makes durable what was done. False: not yet, and nothing else may happen before.
bool OutboxWorker::Impl::settle() {
  if (ended.empty() && !pending_tries) return true;
  fail_point("outbox.before_erase");
  const auto stage = [this](store::Txn& txn) {
    for (const Seq seq : ended) txn.erase_outbox(options.sink, seq);
    if (pending_state) txn.put_meta(store::meta::outbox_state(options.sink), *pending_state);
    if (pending_tries) txn.put_meta(store::meta::outbox_tries(options.sink), *pending_tries);
  };
  auto committed = host.commit(stage, pending_records);
  if (!committed.ok()) {
    failed("cannot record the delivery: " + committed.error().to_string(), 0);
    return false;
  }
  passed();
  ended.clear();
  pending_records.clear();
  pending_state.reset();
  pending_tries.reset();
  return true;
}

void OutboxWorker::Impl::give_up(const PendingRow& row, std::string_view kind,
                                 const std::string& reason) {
  const store::DeliveryBody body{std::string(kind), options.sink, row.row.action_id,
                                 row.row.created_at_us, reason};
  pending_records.push_back(store::journal_record(body, clock.wall_us()));
  log::warning("sink." + options.sink, "{} {}: {}", kind, row.row.action_id, reason);
  erase(row.seq);
}

void OutboxWorker::Impl::give_up_ourselves(const PendingRow& row, std::string_view kind,
                                           const std::string& reason) {
  give_up(row, kind, reason);
  sink->gave_up(row, reason);
}

void OutboxWorker::Impl::stage_outcome(const std::vector<PendingRow>& rows,
                                       const DeliveryReport& report) {
  const int64_t now_us = clock.wall_us();
  for (size_t i = 0; i < report.delivered; ++i) {
    metrics.latency.record_ns(std::max<int64_t>(0, now_us - rows[i].row.created_at_us) * 1000);
    erase(rows[i].seq);
  }
  metrics.delivered.add(report.delivered);
  const auto* refused = std::get_if<Refused>(&report.next);
  if (refused != nullptr && report.delivered < rows.size()) {
    give_up(rows[report.delivered], store::DeliveryBody::kRefused, refused->reason);
    metrics.refused.add();
  }
  if (auto state = sink->state(); state && !ended.empty()) pending_state = std::move(state);
  std::lock_guard lock(mutex);
  status.delivered += report.delivered;
  status.refused += refused != nullptr ? 1 : 0;
}

// Once, before the first delivery: how the row at the front fared before the start.
Result<void> OutboxWorker::Impl::take_up_tries() {
  if (tries.attempts > 0) return {};
  QW_ASSIGN(const auto saved, reader->saved_tries());
  if (!saved) return {};
  auto read = decode_tries(*saved);
  // Nothing but patience hangs on it.
  if (!read.ok())
    log::warning("sink." + options.sink, "{}: tries count anew", read.error().to_string());
  else
    tries = *read;
  return {};
}

// The row at the front failed once more.
void OutboxWorker::Impl::count_try(const PendingRow& row, const std::string& reason) {
  const int64_t now_ns = clock.monotonic_ns();
  if (row.seq != tries.seq) {
    tries = {row.seq, 0, 0};
    tries_ns = saved_tries_ns = std::nullopt;
  }
  if (tries_ns) tries.failing_us += (now_ns - *tries_ns) / 1000;
  tries_ns = now_ns;
  last_reason = reason;
  ++tries.attempts;
  if (saved_tries_ns && now_ns - *saved_tries_ns < kSaveTriesNs) return;
  saved_tries_ns = now_ns;
  pending_tries = encode_tries(tries);
}

// How long the row at the front may still fail.
int64_t OutboxWorker::Impl::left_us() const {
  if (options.deadline_ms == 0 || !tries_ns || tries.seq != next) return kAnyTime;
  const int64_t failing_us = tries.failing_us + (clock.monotonic_ns() - *tries_ns) / 1000;
  return std::max<int64_t>(0, options.deadline_ms * 1000 - failing_us);
}

// Gives the row at the front up when it has failed often or long enough.
bool OutboxWorker::Impl::tried_enough(const PendingRow& row) {
  if (row.seq != tries.seq || !tries_ns) return false;
  const bool often = options.attempts_max > 0 && tries.attempts >= options.attempts_max;
  if (!often && left_us() > 0) return false;
  const std::string how = fmt::format("{} attempts, the last: {}", tries.attempts, last_reason);
  if (often)
    give_up_ourselves(row, store::DeliveryBody::kFailed, how);
  else
    give_up_ourselves(row, store::DeliveryBody::kExpired,
                      "not delivered before its deadline: " + how);
  (often ? metrics.failed : metrics.expired).add();
  std::lock_guard lock(mutex);
  ++(often ? status.failed : status.expired);
  return true;
}

void OutboxWorker::Impl::tick() {
  const int64_t now_ns = clock.monotonic_ns();
  if (now_ns - last_tick_ns < kTickNs) return;
  last_tick_ns = now_ns;
  if (auto ticked = sink->tick(clock.wall_us()); !ticked.ok())
    failed(ticked.error().to_string(), 0);
}

bool OutboxWorker::Impl::step() {
  if (next_try_ns != 0 && clock.monotonic_ns() < next_try_ns) return false;
  next_try_ns = 0;
  if (!open() || !settle()) return false;
  tick();
  if (!sink->ready()) return false;
  const auto looked = sink->look();
  if (!looked.ok()) {
    failed(looked.error().to_string(), 0);
    return false;
  }
  if (*looked && !aside.empty()) next = std::min(next, aside.begin()->first);
  auto read = reader->read(next, std::max<size_t>(1, sink->batch_rows()));
  if (!read.ok()) {
    failed(read.error().to_string(), 0);
    return false;
  }
  {
    std::lock_guard lock(mutex);
    status.oldest_waiting_us = read->empty() ? 0 : read->front().row.created_at_us;
  }
  if (read->empty()) return false;
  const std::vector<PendingRow> rows = sort_out(std::move(read).value());
  if (rows.empty() || tried_enough(rows.front())) return settle();
  fail_point("outbox.before_send");
  const DeliveryReport report = sink->deliver(rows);
  fail_point("outbox.after_send");
  stage_outcome(rows, report);
  const auto* retry = std::get_if<Retry>(&report.next);
  bool gave_up = false;
  if (retry != nullptr && report.delivered < rows.size()) {
    count_try(rows[report.delivered], retry->reason);
    gave_up = tried_enough(rows[report.delivered]);
  }
  const bool settled = settle();
  if (retry != nullptr) {
    metrics.retried.add();
    failed(retry->reason, retry->after_ms, left_us());
    std::lock_guard lock(mutex);
    ++status.retried;
    return report.delivered > 0 || gave_up;
  }
  if (settled) succeeded();
  return settled;
}

void OutboxWorker::Impl::publish() {
  std::lock_guard lock(mutex);
  status.waiting = waiting();
  metrics.waiting.set(static_cast<double>(status.waiting));
}

void OutboxWorker::Impl::run() {
  while (true) {
    bool more = true;
    Seq seen;
    {
      std::lock_guard lock(mutex);
      seen = last_committed;
    }
    while (more) {
      const auto stepped = guarded("sink." + options.sink, [this] { return step(); });
      if (!stepped.ok()) failed(stepped.error().to_string(), 0);
      more = stepped.value_or(false);
      publish();
      std::lock_guard lock(mutex);
      if (stopping) return;
    }
    std::unique_lock lock(mutex);
    const int64_t wait_ns =
        next_try_ns != 0 ? next_try_ns - clock.monotonic_ns() : int64_t{kTickNs};
    wakeup.wait_for(lock, std::chrono::nanoseconds(std::clamp<int64_t>(wait_ns, 0, kTickNs)),
                    [&] { return stopping || (next_try_ns == 0 && last_committed > seen); });
    if (stopping) return;
  }
}

OutboxWorker::OutboxWorker(OutboxOptions options, std::unique_ptr<Sink> sink,
                           std::unique_ptr<OutboxReader> reader, OutboxHost& host,
                           const Clock& clock, MetricRegistry& metrics, uint64_t jitter_seed)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(sink), std::move(reader), host,
                                   clock, metrics, jitter_seed)) {}

OutboxWorker::~OutboxWorker() { stop(); }

Result<void> OutboxWorker::start() {
  QW_TRY(impl_->find_position());
  impl_->thread = std::thread([impl = impl_.get()] {
    impl->run();
    impl->thread_ended.tell();
  });
  return {};
}

void OutboxWorker::wake(Seq last_committed) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->last_committed = std::max(impl_->last_committed, last_committed);
  }
  impl_->wakeup.notify_one();
}

void OutboxWorker::end_soon() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wakeup.notify_one();
}

void OutboxWorker::stop(int64_t limit_ms) {
  end_soon();
  if (!impl_->thread.joinable()) return;
  if (!impl_->thread_ended.within(limit_ms)) impl_->sink->cancel();
  impl_->thread.join();
}

bool OutboxWorker::room(uint64_t rows) const {
  std::lock_guard lock(impl_->mutex);
  return impl_->waiting() + rows <= impl_->options.max_rows;
}

void OutboxWorker::count_dropped(uint64_t rows) {
  impl_->metrics.dropped.add(rows);
  std::lock_guard lock(impl_->mutex);
  impl_->status.dropped += rows;
}

OutboxStatus OutboxWorker::status() const {
  impl_->publish();
  std::lock_guard lock(impl_->mutex);
  return impl_->status;
}

const OutboxOptions& OutboxWorker::options() const { return impl_->options; }

Seq OutboxWorker::last() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->last_committed;
}

bool OutboxWorker::settled(Seq up_to, uint32_t partition) const {
  const std::lock_guard lock(impl_->mutex);
  const auto waits = [&](const auto& one) { return one.second == partition; };
  return impl_->done >= up_to && std::ranges::none_of(impl_->aside, waits);
}

bool OutboxWorker::step() { return impl_->step(); }
int64_t OutboxWorker::next_try_ns() const { return impl_->next_try_ns; }

}  // namespace qw::streams
