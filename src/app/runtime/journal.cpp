#include "app/runtime/journal.h"

#include <memory>
#include <nlohmann/json.hpp>

namespace qw::app {

Result<void> Journal::open() {
  QW_ASSIGN(last_, store_.last_seq(store::Log::kJournal, kJournalPartition));
  return {};
}

Seq Journal::append(PendingCommit& open, std::string_view kind, const nlohmann::json& body) {
  schema::JournalRecord record;
  record.kind = kind;
  record.at_us = clock_.wall_us();
  // Names and reasons may hold bytes that are not UTF-8; they are replaced rather than refused.
  record.json = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return append(open, std::move(record));
}

Seq Journal::append(PendingCommit& open, schema::JournalRecord record) {
  last_ = next(last_);
  std::string bytes;
  schema::encode_journal(record, bytes);
  open.txn.append(store::Log::kJournal, kJournalPartition, last_, bytes);
  if (observers_.empty()) return last_;
  open.then.push_back(
      [this, seq = last_, kept = std::make_shared<schema::JournalRecord>(std::move(record))] {
        for (Observer* observer : observers_) observer->on_journal(seq, *kept);
      });
  return last_;
}

}  // namespace qw::app
