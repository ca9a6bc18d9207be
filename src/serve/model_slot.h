// The versions of the model behind one decision: the one that serves, the one that may take its
// place, and their states.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "schema/records.h"
#include "serve/learning_model.h"
#include "serve/served_version.h"
#include "store/commit/checkpointer.h"
#include "store/commit/lane.h"
#include "store/store.h"

namespace qw::serve {

// What a model was given for one decision.
struct TappedDecision {
  PartitionId stream;
  std::string key;
  Seq seq;
  models::Observation observation;
};

// Where decisions of one kind are put aside for a version that is warming up. Under the lane.
struct DecisionTap {
  static constexpr size_t kMost = 65'536;
  std::vector<TappedDecision> decisions;
  bool full = false;  // one was lost: start again
};

// Owns its versions; those that learn do so from every decision. Without a champion the decision is
// made by rules, or has no score. Once the program runs, every call but options() is under a hold
// of the lane. Store, lane and checkpointer outlive it.
class ModelSlot {
 public:
  ModelSlot(store::Store& store, store::Lane& lane, store::Checkpointer& checkpointer,
            const Clock& clock, ServingOptions options);

  // The versions' states of a decision stream go on from where they are on disk: they catch up when
  // they are touched.
  Result<void> open_stream(PartitionId stream);
  // The decision streams with the last record decided in each.
  const std::map<PartitionId, Seq>& streams() const { return streams_; }
  void decided(PartitionId stream, Seq seq) { streams_[stream] = seq; }

  ServedVersion* champion() { return champion_.get(); }
  ServedVersion* challenger() { return challenger_.get(); }
  // "anomaly@3"; of rules the name alone.
  const std::string& served_by() const { return served_by_; }
  // How a version of this slot is made.
  const ServingOptions& options() const { return options_; }

  // What the record's decision is answered by. Nothing where the record is in the state already:
  // it was decided before a crash, and is durable.
  Result<std::optional<models::Score>> score(PartitionId stream,
                                             const schema::DecisionRecord& record);

  Result<void> install_champion(std::unique_ptr<ServedVersion> version);
  // It has learned all that the champion has, where it learns.
  void install_challenger(std::unique_ptr<ServedVersion> version);
  // The challenger becomes champion between two events. Returns the old champion, null where there
  // was none, whose states stay on disk until erased.
  std::unique_ptr<ServedVersion> swap_challenger();
  // From now on every observation is put aside there too; null: no longer.
  void tap(DecisionTap* tap) { tap_ = tap; }

  // States that another definition left under this version's name are staged to be erased: then it
  // begins anew, and the answer is true.
  Result<bool> stage_definition(const LearningVersion& version, store::Txn& txn) const;
  // Checkpoints some of a version that is not installed; `heads`: how far it has learned.
  Result<void> checkpoint(LearningVersion& version, const std::map<PartitionId, Seq>& heads);
  // Stages the end of all that is on disk of a version that is no longer installed.
  void erase(const ServedVersion& version);
  // Records that starts found behind the checkpoints.
  size_t tail_read() const { return tail_read_; }

 private:
  Result<void> take_up(LearningVersion& version);
  Result<void> open_stream_of(LearningVersion& version, PartitionId stream);
  Result<void> relearn(LearningVersion& version, PartitionId stream, Seq from, Seq last);
  void serve(std::unique_ptr<ServedVersion> version);
  void watch(LearningVersion& version, PartitionId stream);

  store::Store& store_;
  store::Lane& lane_;
  store::Checkpointer& checkpointer_;
  const Clock& clock_;
  const ServingOptions options_;
  std::map<PartitionId, Seq> streams_;
  std::unique_ptr<ServedVersion> champion_, challenger_;
  std::string served_by_;
  DecisionTap* tap_ = nullptr;
  size_t tail_read_ = 0;
};

}  // namespace qw::serve
