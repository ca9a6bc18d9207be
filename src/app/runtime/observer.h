// What the running application tells whoever watches it: the page, the API, monitors.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "schema/records.h"
#include "store/commit/journal.h"

namespace qw::app {

// One decision as it was made. Views into the pipeline's memory: copy what must outlive the call.
struct DecisionSeen {
  const schema::DecisionRecord& record;
  size_t decision = 0;   // index in the plan
  PartitionId stream{};  // whose log holds the record, at record.event_seq
  double value = 0;      // the first model input, or NaN
  double threshold = 0;  // NaN: the model names none
  float warm_up = 1;     // 0..1
  bool alerting = false;
};

// Implementations are fast and never block; they are called on the runtime's threads.
class Observer : public store::JournalWatcher {
 public:
  // On the pipeline's thread, before the decision is durable; in order within a partition.
  virtual void on_decision(const DecisionSeen& seen) = 0;
};

}  // namespace qw::app
