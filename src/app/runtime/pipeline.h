// Event in -> features -> model -> decision out: what happens to each event, in order, on one
// thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/runtime/alerting.h"
#include "app/runtime/healers.h"
#include "app/runtime/observer.h"
#include "app/runtime/plan.h"
#include "base/metrics.h"
#include "features/online/feature_store.h"
#include "serve/decider.h"
#include "serve/model_slot.h"
#include "store/commit/checkpointer.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/commit/partitions.h"
#include "streams/gate.h"
#include "streams/outboxes.h"

namespace qw::app {

// What the Pipeline may hold. A value: copied at construction, never changed after. The memory
// limits are soft: a state whose change is not on disk yet stays.
struct PipelineOptions {
  store::Durability event_durability = store::Durability::kMachine;
  features::FeatureStoreOptions features;
  std::shared_ptr<store::MemoryBudget> model_memory;  // all versions together; null: 1 GiB a stream
};

// How far a partition of a source has come. A value.
struct PartitionProgress {
  size_t source = 0;
  uint32_t partition = 0;
  EventTime watermark;
};

// Applies events to features, models and alerts, and writes everything into its lane: what it holds
// in memory changes with what the lane has open, and is guarded by it.
//
// Threads: every call is under a hold of the lane; features().read() from any thread.
class Pipeline {
 public:
  Pipeline(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
           store::Checkpointer& checkpointer, store::Journal& journal, streams::Outboxes& outboxes,
           Healers& healing, const Clock& clock, MetricRegistry& metrics,
           const PipelineOptions& options);
  ~Pipeline();

  void watch(Observer& observer) { observers_.push_back(&observer); }

  // Restores the gates, positions and alerts and indexes the tails of the logs; states catch up
  // when they are touched. Versions are installed after it.
  Result<void> open();
  // Where a source goes on.
  streams::SavedPositions saved_positions(size_t source) const { return sources_[source].saved; }

  // One batch of a source. `arrived_ns` (monotonic) begins its latencies. Rows are applied all or,
  // on a broken store, up to the error.
  Result<void> accept(size_t source, streams::SourceBatch&& batch, int64_t arrived_ns);
  // About once a second: the wall clock enters. `behind`: whether events of a source wait unread.
  Result<void> tick(const std::function<bool(size_t source)>& behind);

  // Its parts, each with a contract of its own.
  Alerting& alerting() { return alerting_; }
  const features::FeatureStore& features() const { return features_; }
  serve::ModelSlot& slot(size_t decision) { return *decisions_[decision].slot; }
  const streams::Gate& gate(size_t source) const { return *sources_[source].gate; }
  std::vector<PartitionProgress> progress() const;

 private:
  struct PartitionRun {
    PartitionId id;
    Seq last;
    features::FeaturePartition* features = nullptr;
    std::map<size_t, PartitionId> streams;  // decision -> stream
  };
  struct SourceRun {
    explicit SourceRun(const PlanSource& source) : reader(source) {}
    std::optional<streams::Gate> gate;
    uint64_t schema_id = 0;  // of its events' rows
    std::map<uint32_t, PartitionRun> partitions;
    streams::SavedPositions saved;
    features::FeatureReader reader;
    std::vector<features::Cell> cells;  // working memory: the source's inputs and a decision's own
    features::ReadFacts read;
  };
  // Evaluators are as in PlanDecision; nothing where there is no condition.
  using Condition = std::optional<features::Evaluator>;
  struct DecisionRun {
    DecisionRun(const PlanDecision& planned, const PlanSource& source,
                std::unique_ptr<serve::ModelSlot> slot);
    std::unique_ptr<serve::ModelSlot> slot;  // the decider keeps its address
    serve::Decider decider;
    serve::Decided decided;  // the decision in work
    std::optional<features::Evaluator> severity;
    std::vector<Condition> sinks, heals;
    std::vector<std::string> streams_of_rows;  // RowOrigin's, by sink; empty: they have none
    AlertWishes wishes;                        // by the decision in work
  };
  struct Moment {  // one event on its way
    SourceRun& run;
    const PlanSource& source;
    PartitionRun& partition;
    const schema::Batch& rows;
    size_t row;
    const schema::EventFacts& facts;
    bool decided = false;  // by somebody else
  };

  std::unique_ptr<serve::ModelSlot> make_slot(const PlanDecision& planned);
  Result<void> open_source(size_t index);
  Result<PartitionRun*> partition(size_t source, uint32_t number);
  Result<void> open_partition(size_t source, uint32_t number, PartitionRun& run);
  // The schema that this decision's next records are written under, where it is another now.
  void name_records(size_t decision);
  void bury(const std::vector<schema::DeadLetter>& letters);
  void save_position(size_t source, const streams::SourceBatch& batch);

  Result<void> process(const Moment& moment);
  void log_event(const Moment& moment, std::string_view row_bytes);
  Result<void> decide(const Moment& moment, size_t decision);
  void conclude(const Moment& moment, size_t decision, PartitionId stream);
  bool says_something(size_t decision, const schema::DecisionRecord& record) const;
  monitor::Severity severity_of(const Moment& moment, size_t decision);
  void judge_wishes(const Moment& moment, size_t decision);
  void send(const Moment& moment, size_t decision);

  const std::shared_ptr<const Plan> plan_;
  store::Store& store_;
  store::Lane& lane_;
  store::Checkpointer& checkpointer_;
  store::Journal& journal_;
  streams::Outboxes& outboxes_;
  Healers& healing_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  const PipelineOptions options_;
  LatencyHistogram& computed_latency_;
  qw::Counter& decisions_total_;
  std::vector<Observer*> observers_;

  store::Partitions partitions_;
  Alerting alerting_;
  features::FeatureStore features_;
  std::deque<SourceRun> sources_;
  std::deque<DecisionRun> decisions_;
  std::string row_bytes_;  // of the event in work
};

}  // namespace qw::app
