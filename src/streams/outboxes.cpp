#include "streams/outboxes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/env.h"
#include "base/log.h"

namespace qw::streams {

Result<void> OutcomeWriter::commit(const Stage& stage,
                                   const std::vector<schema::JournalRecord>& records) {
  return lane_.commit([&](store::PendingCommit& open) {
    stage(open.txn);
    for (const schema::JournalRecord& record : records) journal_.append(open, record);
  });
}

Outboxes::Outboxes(const store::Store& store, store::Lane& lane, store::Journal& journal,
                   const Clock& clock, MetricRegistry& metrics)
    : store_(store), lane_(lane), journal_(journal), clock_(clock), metrics_(metrics) {}

Result<void> Outboxes::add(OutboxOptions options, std::unique_ptr<Sink> sink,
                           store::Lane* sinks_lane) {
  const std::string name = options.sink;
  QW_ASSERT(!workers_.contains(name));
  QW_ASSIGN(const Seq last, store_.last_outbox_seq(name));
  writers_.push_back(
      std::make_unique<OutcomeWriter>(sinks_lane == nullptr ? lane_ : *sinks_lane, journal_));
  auto worker = std::make_unique<OutboxWorker>(std::move(options), std::move(sink),
                                               read_outbox_of(store_, name), *writers_.back(),
                                               clock_, metrics_, entropy_seed());
  worker->wake(last);
  workers_.emplace(name, std::move(worker));
  return {};
}

Result<void> Outboxes::tell_of_removed_sinks() {
  QW_ASSIGN(const auto sinks, store_.outbox_sinks());
  for (const std::string& sink : sinks) {
    if (workers_.contains(sink)) continue;
    size_t waiting = 0;
    QW_TRY(store_.scan_outbox(sink, Seq{}, SIZE_MAX, [&](Seq, std::string_view) {
      ++waiting;
      return true;
    }));
    metrics_
        .gauge("quickwater_outbox_stranded_rows",
               "Rows that wait for a sink that the application no longer has.", {{"sink", sink}})
        .set(static_cast<double>(waiting));
    if (waiting == 0) continue;
    const std::string title =
        fmt::format("{} rows wait for the sink '{}', which is gone", waiting, sink);
    const std::string detail =
        "the application file no longer has it: they are kept, and delivered once it has a sink of "
        "that name again";
    log::warning("outbox", "{}: {}", title, detail);
    auto held = lane_.hold();
    journal_.append(held.open(), store::SystemBody{"sink_removed", title, detail});
  }
  return {};
}

Result<void> Outboxes::start() {
  QW_TRY(tell_of_removed_sinks());
  for (auto& [name, worker] : workers_) QW_TRY(worker->start());
  return {};
}

void Outboxes::end_soon() {
  for (auto& [name, worker] : workers_) worker->end_soon();
}

void Outboxes::stop(int64_t until_ns) {
  end_soon();
  for (auto& [name, worker] : workers_)
    worker->stop(std::max<int64_t>(0, until_ns - clock_.monotonic_ns()) / 1'000'000);
}

void Outboxes::put(store::PendingCommit& open, const std::string& sink, const OutboxRow& row) {
  OutboxWorker* const worker = workers_.at(sink).get();
  if (!worker->room() && worker->options().on_full == OnFull::kDropCounted)
    return worker->count_dropped(1);
  std::string bytes;
  encode_outbox_row(row, bytes);
  open.put_outbox(sink, std::move(bytes), [worker](Seq seq) { worker->wake(seq); });
}

bool Outboxes::room() const {
  for (const auto& [name, worker] : workers_)
    if (worker->options().on_full == OnFull::kPause && !worker->room()) return false;
  return true;
}

std::map<std::string, OutboxStatus> Outboxes::status() const {
  std::map<std::string, OutboxStatus> all;
  for (const auto& [name, worker] : workers_) all.emplace(name, worker->status());
  return all;
}

}  // namespace qw::streams
