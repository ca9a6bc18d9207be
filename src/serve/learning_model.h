// A model that learns while it scores, served: its versions, their state per series, and the swap
// between them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "models/engine.h"
#include "schema/records.h"
#include "serve/served_version.h"
#include "serve/stored_input.h"
#include "store/keyed_state.h"
#include "store/store.h"

namespace qw::serve {

// One loaded version: the engine and, per decision stream, the states of all series. Learns from
// every observation, whether its score is used or not.
//
// Threads: score() and checkpoint calls come from the pipeline's thread, in log order; with_state()
// from any.
class LearningVersion final : public ServedVersion {
 public:
  LearningVersion(const store::Store& store, const ServingOptions& options, int64_t version,
                  std::shared_ptr<const models::LearningEngine> engine);

  LearningVersion* learning() override { return this; }
  const models::LearningEngine& engine() const { return *engine_; }
  // States of another definition are not states of this version: the engine's kind and settings,
  // what it reads, and of whom.
  uint64_t definition() const;
  // What a stored decision teaches this version, by name; nothing when that is not in it.
  Result<std::optional<models::Observation>> observation_in(
      const schema::DecisionRecord& stored) const {
    return input_->of(stored);
  }

  Result<std::optional<models::Score>> answer(PartitionId stream,
                                              const schema::DecisionRecord& record,
                                              int64_t now_us) override;
  // Learns record `seq` of the stream and scores it. Nothing when that record is in the state
  // already.
  Result<std::optional<models::Score>> score(PartitionId stream, std::string_view key, Seq seq,
                                             int64_t now_us,
                                             const models::Observation& observation);

  // The states of a decision stream; made on first use. A new table must be told of its log's tail
  // before it is used.
  store::KeyedTable& add_stream(PartitionId stream);
  const std::map<PartitionId, std::shared_ptr<store::KeyedTable>>& tables() const {
    return tables_;
  }

 private:
  const std::shared_ptr<const models::LearningEngine> engine_;
  const store::Store& store_;
  const ServingOptions options_;
  const std::shared_ptr<const StoredInput> input_;
  const std::shared_ptr<const store::KeyedStateKind> kind_;
  std::map<PartitionId, std::shared_ptr<store::KeyedTable>> tables_;
};

// The observation of a decision that is being made: of its first input.
models::Observation observation_of(const schema::DecisionRecord& record);

}  // namespace qw::serve
