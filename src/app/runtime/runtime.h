// A running application: its threads, and the order in which they start and stop.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/runtime/connect.h"
#include "app/runtime/healers.h"
#include "app/runtime/monitors.h"
#include "app/runtime/observer.h"
#include "app/runtime/pipeline.h"
#include "app/runtime/plan.h"
#include "app/runtime/roller.h"
#include "app/runtime/system_log.h"
#include "app/runtime/trainer.h"
#include "base/bounded_queue.h"
#include "base/env.h"
#include "base/net/http.h"
#include "models/registry.h"
#include "serve/rollout.h"
#include "store/commit/checkpointer.h"
#include "store/commit/committer.h"
#include "store/commit/journal.h"
#include "store/commit/warmer.h"
#include "store/store.h"
#include "streams/outboxes.h"
#include "streams/source.h"

namespace qw::app {

// How one application is run. A value, copied by start(). `observers` are the caller's and outlive
// the Runtime; they, and the functions here, are called on the Runtime's threads.
struct RuntimeOptions {
  std::string data_folder;
  size_t inbox_batches = 16;       // read from sources and not applied yet
  size_t chunk_rows = 128;         // applied under one hold of the lock
  int64_t stop_limit_ms = 10'000;  // of a whole stop; see stop()
  bool accept_loss = false;        // go on without what is damaged or missing; journalled
  int database_files = 256;        // that the database may hold open
  std::vector<Observer*> observers;
  OwnServer own_server;  // empty: this program serves nothing
  // Whether a training that drift asks for may be made now; empty: always. On the committer's
  // thread.
  std::function<bool(const TrainingWanted&)> may_train;
  serve::Rollout::Options rollout;
  Trainer::Options trainer;
  Roller::Options roller;
  // Benchmarks and simulations bring their own sources; empty: the file's connectors.
  std::function<Result<std::unique_ptr<streams::Source>>(size_t source)> make_source;
};

class Lags;

// Owns everything from the store to the sources. start() opens the data folder, recovers, and
// begins; stop() ends intake, drains, checkpoints, commits and closes. The threads: one per source,
// the pipeline, what warms its states, the committer, one per sink.
class Runtime {
 public:
  // `http_server` gets the routes of http sources and must be started after this; null when there
  // are none.
  static Result<std::unique_ptr<Runtime>> start(std::shared_ptr<const Plan> plan,
                                                const RuntimeOptions& options, const Clock& clock,
                                                MetricRegistry& metrics,
                                                net::HttpServer* http_server);
  ~Runtime();

  // How a stop went. A value.
  struct Stopped {
    bool durable = true;       // everything that was taken in; else what was not is read again
    uint64_t undelivered = 0;  // rows that wait in the outboxes for the next start
  };
  // Every part has its share of `stop_limit_ms`: sources and pipeline end in the first half, what
  // is being delivered and the command that runs are cancelled after 60 %, and a disk that refuses
  // is given up after 85 %. What hangs in a call of the system beyond that the caller bounds.
  Stopped stop();

  const Plan& plan() const { return *plan_; }
  store::Store& store() { return *store_; }
  models::Registry& registry() { return *registry_; }
  store::Committer& committer() { return *committer_; }
  store::Journal& journal() { return *journal_; }
  // The pipeline's, and of all that changes with it.
  store::Lane& events() { return *events_; }
  // Writes a journal record of somebody outside the event path; `durable` hears of its number on
  // the committer's thread.
  template <class Body>  // of store/commit/journal_kinds.h
  void note(const Body& body, store::Journal::Durable durable = {}) {
    auto held = outside_->hold();
    journal_->append(held.open(), body, std::move(durable));
  }
  streams::Outboxes& outboxes() { return *outboxes_; }
  Pipeline& pipeline() { return *pipeline_; }
  store::Checkpointer& checkpointer() { return *checkpointer_; }
  const store::MemoryBudget& model_memory() const { return *model_memory_; }
  const Monitors& monitors() const { return *monitors_; }
  Trainer& trainer() { return *trainer_; }
  serve::Rollout& rollout() { return *rollout_; }
  // Of the model of this name; empty: the only one with a detector. See serve::ask_rollback.
  Result<serve::RollbackAsked> roll_back(const std::string& model, const std::string& reason);
  Roller& roller() { return *roller_; }
  // See Healers::reset; durable within a few milliseconds.
  Result<void> reset_heal(const std::string& name) {
    auto held = events_->hold();
    return healing_->reset(held.open(), name);
  }
  SystemLog& system_log() { return *system_log_; }
  const Clock& clock() const { return clock_; }

  // Runs `work` between two events, under the pipeline's lane, on the calling thread.
  template <class Work>
  auto between_events(const Work& work) {
    auto held = events_->hold();
    return work(*pipeline_, held.open());
  }

  struct SourceHealth {
    std::string name;
    std::string kind;
    streams::SourceStatus status;
    uint64_t queue_rows = 0;     // read and not applied yet
    int64_t queue_since_ns = 0;  // when the oldest of them came (monotonic); 0: there is none
  };
  std::vector<SourceHealth> sources() const;
  // Every source has read all there is (files only), all of it is durable, every sink has
  // delivered, and no command waits.
  bool finished() const;
  // What stopped the application from inside; nothing while it runs.
  std::optional<Error> failure() const;

 private:
  struct Inbound;
  class SourceThread;

  Runtime(std::shared_ptr<const Plan> plan, RuntimeOptions options, const Clock& clock,
          MetricRegistry& metrics);
  Result<void> open(net::HttpServer* http_server);
  Result<void> open_segments(std::vector<store::Loss>& losses);
  Result<void> install_versions();
  Result<void> open_monitors();
  Result<void> open_sinks(const streams::Surroundings& surroundings);
  size_t tell_recovery();
  void open_learning();
  void run_pipeline();
  void apply(Inbound& inbound);
  bool apply_chunk(const Inbound& inbound, streams::SourceBatch&& chunk, bool last);
  void housekeeping();
  void checkpoint_for_stop();
  int64_t stop_share_ns(int percent) const;
  void fail(const Error& error);

  const std::shared_ptr<const Plan> plan_;
  const RuntimeOptions options_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<models::Registry> registry_;
  std::unique_ptr<store::Committer> committer_;
  // The committer's: of the pipeline and whatever changes with it, and of who comes from outside.
  store::Lane* events_ = nullptr;
  store::Lane* outside_ = nullptr;
  std::unique_ptr<store::Journal> journal_;
  std::unique_ptr<streams::Outboxes> outboxes_;
  std::unique_ptr<Healers> healing_;
  std::unique_ptr<store::Checkpointer> checkpointer_;
  std::unique_ptr<store::Warmer> warmer_;
  std::shared_ptr<store::MemoryBudget> model_memory_;  // all versions together
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<Monitors> monitors_;
  std::unique_ptr<serve::Rollout> rollout_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Roller> roller_;
  std::unique_ptr<SystemLog> system_log_;
  std::unique_ptr<Lags> lags_;
  GroupMembers members_;
  std::unique_ptr<BoundedQueue<Inbound>> inbox_;
  std::vector<std::unique_ptr<SourceThread>> sources_;
  std::jthread pipeline_thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> stop_began_ns_{0};
  Stopped stopped_;
  std::atomic<bool> intake_ended_{false};
  std::atomic<uint64_t> batches_read_{0};
  std::atomic<uint64_t> batches_durable_{0};
  bool abandoned_ = false;  // a batch was left out, at a stop, or broke off
  int64_t next_tick_ns_ = 0;
  int64_t next_checkpoint_ns_ = 0;
  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
};

}  // namespace qw::app
