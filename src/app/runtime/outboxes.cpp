#include "app/runtime/outboxes.h"

#include "base/env.h"

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

Result<void> Outboxes::start() {
  for (auto& [name, box] : boxes_) {
    QW_TRY(box.worker->start());
    box.worker->wake(box.last);
  }
  return {};
}

void Outboxes::stop() {
  for (auto& [name, box] : boxes_) box.worker->stop();
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

Result<void> Outboxes::commit(store::Txn& txn, std::vector<schema::JournalRecord> records) {
  std::promise<Result<void>> done;
  auto written = done.get_future();
  {
    std::lock_guard lock(committer_.mutex());
    PendingCommit& open = committer_.open();
    for (auto& record : records) journal_.append(open, txn, std::move(record));
    open.extras.push_back({&txn, &done});
    committer_.hurry();
  }
  return written.get();
}

}  // namespace qw::app
