#include "app/runtime/outboxes.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/env.h"
#include "base/log.h"

namespace qw::app {

Outboxes::Outboxes(const store::Store& store, Committer& committer, Journal& journal,
                   const Clock& clock, MetricRegistry& metrics)
    : store_(store), committer_(committer), journal_(journal), clock_(clock), metrics_(metrics) {}

Result<void> Outboxes::add(streams::OutboxOptions options, std::unique_ptr<streams::Sink> sink) {
  const std::string name = options.sink;
  QW_ASSERT(!boxes_.contains(name));
  Box box;
  QW_ASSIGN(box.last, store_.last_outbox_seq(name));
  box.worker = std::make_unique<streams::OutboxWorker>(std::move(options), std::move(sink),
                                                       streams::read_outbox_of(store_, name), *this,
                                                       clock_, metrics_, entropy_seed());
  boxes_.emplace(name, std::move(box));
  return {};
}

Result<void> Outboxes::tell_of_removed_sinks() {
  QW_ASSIGN(const auto sinks, store_.outbox_sinks());
  for (const std::string& sink : sinks) {
    if (boxes_.contains(sink)) continue;
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
    const std::lock_guard lock(committer_.mutex());
    journal_.append(
        committer_.open(), "system",
        nlohmann::json{{"phase", "sink_removed"}, {"title", title}, {"detail", detail}});
  }
  return {};
}

Result<void> Outboxes::start() {
  QW_TRY(tell_of_removed_sinks());
  for (auto& [name, box] : boxes_) {
    QW_TRY(box.worker->start());
    box.worker->wake(box.last);
  }
  return {};
}

void Outboxes::end_soon() {
  for (auto& [name, box] : boxes_) box.worker->end_soon();
}

void Outboxes::stop(int64_t until_ns) {
  end_soon();
  for (auto& [name, box] : boxes_)
    box.worker->stop(std::max<int64_t>(0, until_ns - clock_.monotonic_ns()) / 1'000'000);
}

void Outboxes::put(PendingCommit& open, const std::string& sink, const streams::OutboxRow& row) {
  Box& box = boxes_.at(sink);
  if (!box.worker->room() && box.worker->options().on_full == streams::OnFull::kDropCounted)
    return box.worker->count_dropped(1);
  box.last = next(box.last);
  std::string bytes;
  streams::encode_outbox_row(row, bytes);
  open.txn.put_outbox(sink, box.last, bytes);
  open.then.push_back([worker = box.worker.get(), last = box.last] { worker->wake(last); });
}

bool Outboxes::room() const {
  for (const auto& [name, box] : boxes_)
    if (box.worker->options().on_full == streams::OnFull::kPause && !box.worker->room())
      return false;
  return true;
}

std::map<std::string, streams::OutboxStatus> Outboxes::status() const {
  std::map<std::string, streams::OutboxStatus> all;
  for (const auto& [name, box] : boxes_) all.emplace(name, box.worker->status());
  return all;
}

Result<void> Outboxes::commit(const Stage& stage,
                              const std::vector<schema::JournalRecord>& records) {
  return committer_.commit([&](PendingCommit& open) {
    stage(open.txn);
    for (const schema::JournalRecord& record : records) journal_.append(open, record);
  });
}

}  // namespace qw::app
