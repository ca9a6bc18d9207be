// The alerts of every decision, kept durable with the decisions that moved them, and told to
// journal and sinks.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/runtime/audience.h"
#include "app/runtime/plan.h"
#include "app/runtime/run_clock.h"
#include "monitor/alerts/book.h"
#include "monitor/alerts/payload.h"
#include "schema/stored_schema.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/store.h"
#include "streams/outboxes.h"

namespace qw::app {

// Keys whose alerts a decision keeps, and observations of further ones that were not judged.
struct AlertKeys {
  size_t held = 0;
  uint64_t refused = 0;
};

// Owns the alert books. Used by the pipeline's thread under the pipeline's lane. A state is
// written into the open commit whenever a restart without it could decide differently, so recovery
// only reads it back; how long nothing was heard follows from the run clock, written at each tick
// that could change an alert.
class Alerting {
 public:
  Alerting(const Plan& plan, store::Journal& journal, streams::Outboxes& outboxes,
           const Clock& clock);
  Result<void> open(const store::Store& store);

  // Alert ids carry the source's own number of a stream's partition.
  void name_stream(size_t decision, PartitionId stream, uint32_t source_partition);

  // What the values of this decision's records are called, from the next record on.
  void name_values(size_t decision, const schema::DecisionSchema& names) {
    names_[decision] = names;
  }

  // Hears of every alert that changed, under the pipeline's lane (healing).
  using Listener = std::function<void(store::PendingCommit&, size_t decision,
                                      const monitor::AlertDetail&, const AlertWishes&)>;
  void listen(Listener listener) { listener_ = std::move(listener); }

  // The decision's word on a key, and what its conditions say. Returns whether an alert of the key
  // is open.
  bool observe(store::PendingCommit& open, size_t decision, PartitionId stream,
               const schema::DecisionRecord& record, monitor::Severity severity, double threshold,
               const AlertWishes& wishes);
  // About once a second. `behind`: whether events of a source wait unread.
  void tick(store::PendingCommit& open, const std::function<Seq(PartitionId)>& newest,
            const std::function<bool(size_t source)>& behind);

  size_t open_alerts() const;
  // By decision.
  std::map<std::string, AlertKeys> keys() const;

 private:
  std::string meta_name(size_t decision, PartitionId stream, std::string_view key) const;
  void keep(store::PendingCommit& open, size_t decision, PartitionId stream,
            const std::string& key);
  void note_clock_set(store::PendingCommit& open, int8_t direction);
  void tell(store::PendingCommit& open, size_t decision, const monitor::AlertChange& change,
            const schema::DecisionRecord* record, double threshold);
  monitor::AlertDetail detail_of(size_t decision, const monitor::AlertChange& change,
                                 const schema::DecisionRecord* record, double threshold) const;

  const Plan& plan_;
  store::Journal& journal_;
  streams::Outboxes& outboxes_;
  const Clock& clock_;
  RunClock run_clock_;
  Listener listener_;
  std::map<size_t, monitor::AlertBook> books_;  // by decision
  std::map<size_t, schema::DecisionSchema> names_;
  AlertAudience audience_;
  std::vector<monitor::AlertChange> changes_;  // working memory
};

}  // namespace qw::app
