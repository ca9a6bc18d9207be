// The journal: everything but events and decisions that happened, in one order, durable with what
// it is about.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "schema/records.h"
#include "store/commit/journal_kinds.h"
#include "store/commit/lane.h"

namespace qw::store {

// Of the journal and of dead letters: there is one of each.
constexpr PartitionId kJournalPartition{0};

// Hears of journal records once they are durable, in seq order, on the committer's thread. Fast,
// and never blocks.
class JournalWatcher {
 public:
  virtual ~JournalWatcher() = default;
  virtual void on_journal(Seq seq, const schema::JournalRecord& record) = 0;
};

// Writes journal records into whatever lane the caller holds. Any thread.
class Journal {
 public:
  explicit Journal(const Clock& clock) : clock_(clock) {}

  // Watchers are added before the committer starts and outlive it.
  void watch(JournalWatcher& watcher) { watchers_.push_back(&watcher); }

  // `durable` is told the record's number once it is, before the watchers.
  using Durable = std::function<void(Seq)>;
  template <class Body>  // of store/commit/journal_kinds.h
  void append(PendingCommit& open, const Body& body, Durable durable = {}) {
    append(open, journal_record(body, clock_.wall_us()), std::move(durable));
  }
  void append(PendingCommit& open, schema::JournalRecord record, Durable durable = {});

 private:
  const Clock& clock_;
  std::vector<JournalWatcher*> watchers_;
};

}  // namespace qw::store
