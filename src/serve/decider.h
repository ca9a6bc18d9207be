// Inputs -> model or rules -> outputs -> record: how a decision is made, whoever asks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "features/cell.h"
#include "features/expression/expression.h"
#include "schema/batch.h"
#include "schema/records.h"
#include "schema/stored_schema.h"
#include "serve/decision_plan.h"
#include "serve/model_slot.h"
#include "store/store.h"

namespace qw::serve {

// What a decision is made on. Views into the caller's memory, for the length of a call.
struct DecisionInput {
  const schema::Batch& rows;  // of the source
  size_t row = 0;
  PartitionId partition;  // of the event
  PartitionId stream;     // whose log the record belongs to, at `seq`
  Seq seq;
  EventTime as_of;
  // DecisionPlan::inputs; the source's are filled, the decision's own are written here.
  std::span<features::Cell> cells;
  std::span<const schema::FeatureStatus> statuses;     // of the features; empty: all are present
  std::span<const std::pair<PartitionId, Seq>> known;  // DecisionRecord::known
};

// A decision as it was made.
struct Decided {
  schema::DecisionRecord record;
  double value = 0;      // the first model input, or NaN
  double threshold = 0;  // NaN: the model names none
  float warm_up = 1;     // 0..1
};

// Makes the decisions of one plan with the model of one slot. Working memory: one thread at a time,
// under the slot's lane. Plan and slot outlive it. Writes nothing: the record is the caller's.
class Decider {
 public:
  Decider(const DecisionPlan& plan, ModelSlot& slot);

  // False: `when` asks for columns of the source alone, and does not hold: features need not be
  // read. `columns`: at least those are filled.
  bool may_decide(std::span<const features::Cell> columns);
  // Whether there is a decision. There is none where `when` does not hold, a part of the key is
  // null, or it was made before a crash and is durable. Errors are those of reading a state.
  Result<bool> decide(const DecisionInput& input, KnownAt now, Decided& decided);

  // What the records of the version that serves list. Stages it when another version serves than
  // at the last call; true then.
  bool name_records(store::Txn& txn);
  const schema::DecisionSchema& schema() const { return schema_; }

  ModelSlot& slot() { return slot_; }
  const ModelSlot& slot() const { return slot_; }

 private:
  bool begin(const DecisionInput& input, schema::DecisionRecord& record);
  Result<bool> score(const DecisionInput& input, Decided& decided);
  void take(const models::Score& answer, Decided& decided);
  void evaluate_rules(const DecisionInput& input, schema::DecisionRecord& record);
  schema::Value value_at(const DecisionInput& input, size_t at) const;

  const DecisionPlan& plan_;
  ModelSlot& slot_;
  std::optional<features::Evaluator> when_;
  bool when_on_columns_ = false;                      // it reads no feature
  std::vector<features::Evaluator> rules_, outputs_;  // as in the plan
  schema::DecisionSchema schema_;
  uint64_t schema_id_ = 0;
  std::optional<std::string> named_;  // served_by when the records were named
};

}  // namespace qw::serve
