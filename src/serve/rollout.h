// Takes published versions into service: warms them beside the champion and swaps between two
// events.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/env.h"
#include "models/registry.h"
#include "models/scoring_engine.h"
#include "serve/model_plan.h"
#include "serve/model_slot.h"
#include "serve/warm_up.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/store.h"

namespace qw::serve {

// A model with the places where it decides.
struct ServedModel {
  const ModelPlan* plan = nullptr;
  std::vector<ModelSlot*> slots;
};

// The version that is warming up, and the share of the decisions that it has learned. A value.
struct WarmProgress {
  size_t model = 0;
  int64_t version = 0;
  double share = 0;  // 0..1
};

// Owns a thread that looks into the registry every poll_us, and at once when woken: a
// version published by this process or another, whose lineage says `then: swap` and whose parent
// serves, is warmed, swapped in, and made champion. A version compared with another parent than
// the one that serves is refused; one that cannot be loaded fails; each with its reason, in the
// registry and in the journal (kind "model").
//
// A version that learns is warm once it knows what the champion knows; one that scores rows, once
// it has scored the newest decisions of each stream.
//
// A version that is rolling back is left in the same way, for the version it was compared with,
// whose states are made anew from the decision log; that comes before anything that was published.
// Its parent cannot be loaded: it goes on serving, and the journal says why.
//
// The swap is one commit: the decisions before it, the record which version serves from here on
// (meta "serving/<name>"), the journal record, and the end of the old version's states. After a
// crash the store says which version serves; the registry's alias follows it.
class Rollout {
 public:
  // How often it looks. A value.
  struct Options {
    int64_t poll_us = 2'000'000;
    // Asked before a step ("warming", "finish", "warmed"), whose error it gives: for tests.
    std::function<Result<void>(std::string_view step)> before;
  };
  // Called before a version serves, without a lane held.
  using Prepare = std::function<void(size_t model, int64_t version)>;
  // The plans and slots of `models` outlive it; slots are used under holds of `lane`.
  Rollout(std::vector<ServedModel> models, store::Store& store, std::string registry_folder,
          store::Lane& lane, store::Journal& journal, const Clock& clock, Options options,
          Prepare prepare);
  ~Rollout();

  void start();
  // Ends what is under way at the next safe place: a version that is warming goes on at the next
  // start. Before the committer stops.
  void stop();
  // Looks at once. Any thread.
  void wake();
  // Asks for a rollback (see ask_rollback) and wakes the thread. Any thread.
  Result<RollbackAsked> roll_back(size_t model, const std::string& reason);
  // Nothing when no version is on its way. Any thread.
  std::optional<WarmProgress> progress() const;

 private:
  // One version that shall take another's place. A value.
  struct Change {
    size_t model = 0;
    int64_t version = 0;
    int64_t before = 0;
    bool back = false;   // rolled back: the versions' states say so already
    std::string reason;  // of a rollback
  };
  using Warming = std::vector<std::unique_ptr<WarmUp>>;

  void run(const std::stop_token& stop);
  Result<void> look(const std::stop_token& stop);
  Result<void> look_at(size_t model, const std::stop_token& stop);
  Result<void> roll_out(const Change& change, const std::stop_token& stop);
  Result<void> let_learn(const Change& change,
                         const std::shared_ptr<const models::LearningEngine>& engine,
                         const std::stop_token& stop);
  Result<void> try_on(const Change& change,
                      const std::shared_ptr<const models::ScoringEngine>& engine,
                      const std::stop_token& stop);
  std::string name_of(const Change& change) const;
  void show(const Change& change, const Warming& warming);
  void show_nothing();
  Result<void> warm(Warming& warming, const std::stop_token& stop);
  Result<void> bridge(Warming& warming, const std::stop_token& stop);
  Result<void> install(Warming& warming);
  Result<void> before(std::string_view step) const;
  void give_up(Warming& warming);
  Result<void> swap(const Change& change, const std::stop_token& stop);
  void tell(store::PendingCommit& open, size_t model, int64_t version, const char* phase,
            const std::string& title, const std::string& detail);
  Result<void> set_state(const Change& change, models::VersionState state, const std::string& title,
                         const std::string& reason);
  const ModelPlan& plan_of(const Change& change) const { return *models_[change.model].plan; }

  const std::vector<ServedModel> models_;
  store::Store& store_;
  const std::string registry_folder_;
  store::Lane& lane_;
  store::Journal& journal_;
  const Clock& clock_;
  const Options options_;
  const Prepare prepare_;
  std::unique_ptr<models::Registry> registry_;
  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool woken_ = false;
  mutable std::mutex progress_mutex_;  // guards what follows
  WarmProgress shown_;
  const Warming* shown_warming_ = nullptr;  // the thread's; null: nothing is warming
  std::jthread thread_;
};

}  // namespace qw::serve
