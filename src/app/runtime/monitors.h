// `monitors` of the application file, at work: the scores of every decision of a watched model
// against their reference, the alert when they drift, and the wish for a training.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/runtime/observer.h"
#include "app/runtime/plan.h"
#include "monitor/drift/watch.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/store.h"
#include "streams/outboxes.h"

namespace qw::app {

// What is known of a decision's drift. A value.
struct DriftStatus {
  std::string model;
  std::string decision;
  std::string served_by;  // the version that is watched; "" before the first decision
  monitor::DriftState state = monitor::DriftState::kLearning;
  std::optional<monitor::DriftLook> look;  // the last comparison
  int64_t checked_us = 0;                  // wall clock of it; 0: none yet
};

// A training that drift asks for. A value.
struct TrainingWanted {
  std::string training;  // its name in the application file
  std::string model;
  std::string reason;  // for people: "the scores of 'a' drifted: distance 0.41, 0.1 is tolerated"
};

// Owns one watch per decision whose model has a monitor. Its state is written into the commit of
// the decisions it was made from at every look, and at least every ten seconds; what was decided
// after that is read again from the decision log, so a restart changes no look.
//
// Threads: on_decision() on the pipeline's thread, under the lane; status() from any.
// The training hook is called on the committer's thread, once the drift is durable, and must not
// block; a request that a crash cut off is made again after the restart.
class Monitors final : public Observer {
 public:
  // The reference profile of a registry's version, as JSON.
  using ProfileOf = std::function<Result<std::string>(const std::string& name, int64_t version)>;
  using StreamsOf = std::function<std::map<PartitionId, Seq>(size_t decision)>;
  // Calls `durable`, now or later, on the committer's thread, once the wish is heard and cannot be
  // lost; until then it is asked again.
  using TrainingHook =
      std::function<void(const TrainingWanted&, const std::function<void()>& durable)>;

  Monitors(const Plan& plan, store::Lane& lane, store::Journal& journal,
           streams::Outboxes& outboxes, const Clock& clock, ProfileOf profile_of);
  ~Monitors() override;

  // Reads the reference of a version that is about to serve, so that nothing is read between two
  // events. Any thread, without the lane.
  void prepare(size_t model, int64_t version);
  // Takes up where the last run ended. After Pipeline::open(), before the first decision.
  Result<void> open(const store::Store& store, const StreamsOf& streams_of);
  // Before the committer starts.
  void on_training_wanted(TrainingHook hook) { training_hook_ = std::move(hook); }

  void on_decision(const DecisionSeen& seen) override;
  void on_journal(Seq, const schema::JournalRecord&) override {}

  std::vector<DriftStatus> status() const;

 private:
  struct Watched;

  void take(Watched& watched, const schema::DecisionRecord& record);
  void begin(Watched& watched, const schema::DecisionRecord& record);
  using Reference = std::optional<schema::ScoreProfile>;
  Reference reference_of(const Watched& watched, int64_t version);
  Reference read_reference(size_t model, int64_t version) const;
  Result<void> replay(const store::Store& store, Watched& watched,
                      const std::map<PartitionId, Seq>& streams);
  void tell(Watched& watched, const monitor::DriftLook& look, const std::string& reason);
  void alert(Watched& watched, const monitor::DriftLook& look, const std::string& reason);
  void ask_for_training(Watched& watched);
  void save(Watched& watched);
  Result<void> restore(Watched& watched, std::string_view bytes);
  void publish(const Watched& watched);

  const Plan& plan_;
  store::Lane& lane_;
  store::Journal& journal_;
  streams::Outboxes& outboxes_;
  const Clock& clock_;
  const ProfileOf profile_of_;
  TrainingHook training_hook_;
  std::map<size_t, std::unique_ptr<Watched>> watched_;  // by decision
  bool live_ = false;  // false while open() reads the log again: nothing is written or told
  std::mutex references_mutex_;
  std::map<std::pair<size_t, int64_t>, Reference> references_;  // by model and version
  mutable std::mutex status_mutex_;
  std::map<size_t, DriftStatus> status_;
};

}  // namespace qw::app
