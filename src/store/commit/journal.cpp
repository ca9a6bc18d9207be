#include "store/commit/journal.h"

#include <nlohmann/json.hpp>

namespace qw::store {

void Journal::append(PendingCommit& open, std::string_view kind, const nlohmann::json& body) {
  schema::JournalRecord record;
  record.kind = kind;
  record.at_us = clock_.wall_us();
  // Names and reasons may hold bytes that are not UTF-8; they are replaced rather than refused.
  record.json = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  append(open, std::move(record));
}

void Journal::append(PendingCommit& open, schema::JournalRecord record, Durable durable) {
  std::string bytes;
  schema::encode_journal(record, bytes);
  PendingCommit::Numbered tell;
  if (!watchers_.empty() || durable)
    tell = [this, kept = std::move(record), told = std::move(durable)](Seq seq) {
      if (told) told(seq);
      for (JournalWatcher* const watcher : watchers_) watcher->on_journal(seq, kept);
    };
  open.append_numbered(Log::kJournal, kJournalPartition, std::move(bytes), std::move(tell));
}

}  // namespace qw::store
