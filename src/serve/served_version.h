// What one version of a model is for the decisions of one name, whatever its kind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "models/engine.h"
#include "schema/records.h"
#include "schema/type.h"
#include "serve/stored_input.h"
#include "store/keyed_state.h"

namespace qw::serve {

class LearningVersion;

// Which decisions a version answers, and what it is given and may take. A value, copied at
// construction. The memory limit is soft: a state whose change is not on disk yet stays.
struct ServingOptions {
  std::string decision;  // part of the owner of its states
  std::string model;
  InputDefinition input;  // what a model that learns reads of stored decisions
  schema::Schema inputs;  // what a model that scores rows is offered: of the record's inputs
  int64_t replay_max_us = 10'000'000;
  std::shared_ptr<store::MemoryBudget> memory;  // shared with other versions; null: 1 GiB a stream
};

// One loaded version, owned by a ModelSlot or by whoever warms it up.
// Threads: answer() under the slot's lane, in log order.
class ServedVersion {
 public:
  virtual ~ServedVersion() = default;
  ServedVersion(const ServedVersion&) = delete;
  ServedVersion& operator=(const ServedVersion&) = delete;

  int64_t version() const { return version_; }
  // "model/DECISION/MODEL@3": what it is called in logs, and the owner of its states.
  const std::string& owner() const { return owner_; }

  // The score of a decision whose inputs the record has. Nothing where the record is in the states
  // already: it was decided before a crash, and is durable. Errors are those of reading a state.
  virtual Result<std::optional<models::Score>> answer(PartitionId stream,
                                                      const schema::DecisionRecord& record,
                                                      int64_t now_us) = 0;
  // The same version, where it learns while it scores; null where it keeps nothing.
  virtual LearningVersion* learning() { return nullptr; }
  const LearningVersion* learning() const { return const_cast<ServedVersion*>(this)->learning(); }

 protected:
  ServedVersion(const ServingOptions& options, int64_t version);

 private:
  const int64_t version_;
  const std::string owner_;
};

}  // namespace qw::serve
