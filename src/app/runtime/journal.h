// The journal: everything but events and decisions that happened, in one order, durable with what
// it is about.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "app/runtime/committer.h"
#include "app/runtime/observer.h"
#include "base/ids.h"
#include "schema/records.h"
#include "store/store.h"

namespace qw::app {

constexpr PartitionId kJournalPartition{0};

// Numbers and writes journal records. append() is called under the committer's mutex; observers
// hear of a record once it is durable.
class Journal {
 public:
  Journal(const store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  // Finds where the numbering goes on.
  Result<void> open();
  // Observers are added before the committer starts and outlive it.
  void watch(Observer& observer) { observers_.push_back(&observer); }

  Seq append(PendingCommit& open, std::string_view kind, const nlohmann::json& body);
  Seq append(PendingCommit& open, schema::JournalRecord record);
  Seq last() const { return last_; }

 private:
  const store::Store& store_;
  const Clock& clock_;
  Seq last_;
  std::vector<Observer*> observers_;
};

}  // namespace qw::app
