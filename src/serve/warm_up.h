// Brings a new version of a model up to the present beside the one that serves, without holding up
// live events.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <utility>

#include "serve/model_slot.h"
#include "store/commit/lane.h"
#include "store/segments/history.h"
#include "store/store.h"

namespace qw::serve {

// One decision's new version on its way. The decision log holds every model input bit by bit, so a
// version that replays it is the version that had served from the beginning.
//
//   replay()   reads the log as far as it is durable, without the lane but for
//              checkpoints; again, until little is left;
//   tap()      under the lock: from now on every observation is also put aside;
//   bridge()   once all before tap() is durable: reads the rest of the log;
//   drain()    learns what was put aside, without the lock; again, until little is left;
//   finish()   under the lock: the last of it. The version has learned every decision that was
//              made;
//   take()     before the lock is released: the version, to be installed.
//
// Owned by one thread, which makes every call. Dropping it takes the tap away. What was replayed is
// checkpointed under the version's own name: after a crash it goes on from there. So it does after
// an error: begin with replay() again. After take() it is empty: drop it.
class WarmUp {
 public:
  WarmUp(const store::Store& store, store::Lane& lane, ModelSlot& slot, int64_t version,
         std::shared_ptr<const models::LearningEngine> engine, const Clock& clock);
  ~WarmUp();
  WarmUp(const WarmUp&) = delete;
  WarmUp& operator=(const WarmUp&) = delete;

  // Returns how many records it read. kUnavailable: asked to stop.
  Result<size_t> replay(const std::stop_token& stop);
  void tap();
  Result<void> bridge(const std::stop_token& stop);
  // Returns how many observations there were. kExhausted: too many were put aside; drop it.
  Result<size_t> drain();
  Result<void> finish();
  std::unique_ptr<LearningVersion> take() { return std::move(version_); }

  // How many of the decisions known at the last replay() it has learned, and how many those are.
  // Any thread.
  std::pair<uint64_t, uint64_t> progress() const { return {read_, known_}; }

  ModelSlot& slot() { return slot_; }
  LearningVersion& version() { return *version_; }

 private:
  Result<void> ensure(PartitionId stream);
  Result<size_t> replay_stream(PartitionId stream, Seq until, const std::stop_token& stop);
  Result<void> checkpoint_if_many();
  Result<void> claim(const std::stop_token& stop);
  Result<void> learn_stored(PartitionId stream, Seq seq, const schema::DecisionRecord& record);
  void measure();
  Result<void> learn(const std::vector<TappedDecision>& decisions);

  const store::Store& store_;
  store::History history_;
  store::Lane& lane_;
  ModelSlot& slot_;
  const Clock& clock_;
  std::unique_ptr<LearningVersion> version_;
  std::map<PartitionId, Seq> learned_;  // of each stream: up to here
  std::map<PartitionId, Seq> tapped_;   // of each stream: from after here on it is put aside
  DecisionTap tap_;
  bool claimed_ = false;  // its states are of its definition
  std::atomic<uint64_t> read_{0}, known_{0};
};

}  // namespace qw::serve
