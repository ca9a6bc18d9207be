#include "store/commit/journal.h"

#include <memory>

namespace qw::store {

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
