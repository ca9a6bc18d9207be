// Event in -> features -> model -> decision out: what happens to each event, in order, on one
// thread.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/runtime/alerting.h"
#include "app/runtime/healers.h"
#include "app/runtime/observer.h"
#include "app/runtime/plan.h"
#include "app/runtime/view_states.h"
#include "base/metrics.h"
#include "serve/learning_model.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/commit/partitions.h"
#include "streams/gate.h"
#include "streams/outboxes.h"

namespace qw::app {

// What the Pipeline may hold and how far it may fall behind. A value: copied at construction, never
// changed after. The memory limits are soft: a state whose change is not on disk yet stays.
struct PipelineOptions {
  store::Durability event_durability = store::Durability::kMachine;
  int64_t replay_max_us = 10'000'000;
  size_t view_memory_bytes = size_t{256} << 20;  // all views together
  size_t model_memory_bytes = size_t{1} << 30;   // all versions together
  // Of a checkpoint pass: one holds the lock for as long as this takes, a tenth of a millisecond or
  // so. A table that falls behind gets more.
  size_t checkpoint_budget_bytes = size_t{32} << 10;
  size_t checkpoint_catch_up_bytes = size_t{256} << 10;
  int64_t state_ttl_us = 604'800'000'000;
};

// The features and the score of a key at a moment; what the page asks for.
struct FeatureAnswer {
  features::ViewPtr view;
  std::vector<schema::Value> values;  // in View::features() order
  std::vector<features::FeatureStatus> statuses;
};

// What a model was given for one decision.
struct TappedDecision {
  PartitionId stream;
  std::string key;
  Seq seq;
  models::Observation observation;
};

// Where decisions of one kind are put aside for a version that is warming up. Under the
// pipeline's lane.
struct DecisionTap {
  static constexpr size_t kMost = 65'536;
  std::vector<TappedDecision> decisions;
  bool full = false;  // one was lost: start again
};

// How far a partition of a source has come. A value.
struct PartitionProgress {
  size_t source = 0;
  uint32_t partition = 0;
  EventTime watermark;
};

// How much of a table's states is not on disk, all partitions together. A value.
struct StateLag {
  uint64_t events = 0;     // that a start now would read again
  size_t dirty = 0;        // states that wait for their checkpoint
  size_t catching_up = 0;  // keys that have not been touched since the start
};

// Applies events to views, models and alerts, and writes everything into its lane: what it holds
// in memory changes with what the lane has open, and is guarded by it.
//
// Threads: open(), then accept(), tick(), checkpoint() and the calls on versions by one thread,
// each under lane.hold(); read_features() by any thread.
class Pipeline {
 public:
  Pipeline(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
           store::Journal& journal, streams::Outboxes& outboxes, Healers& healing,
           const Clock& clock, MetricRegistry& metrics, PipelineOptions options);
  ~Pipeline();

  void watch(Observer& observer) { observers_.push_back(&observer); }
  Alerting& alerting() { return alerting_; }

  // Restores the gates, positions and alerts and indexes the tails of the logs; states catch up
  // when they are touched.
  Result<void> open();
  // Where a source goes on.
  streams::SavedPositions saved_positions(size_t source) const;

  // One batch of a source. `arrived_ns` (monotonic) begins its latencies. Rows are applied all or,
  // on a broken store, up to the error.
  Result<void> accept(size_t source, streams::SourceBatch&& batch, int64_t arrived_ns);
  // About once a second: the wall clock enters. `behind`: whether events of a source wait unread.
  Result<void> tick(const std::function<bool(size_t source)>& behind);
  // Checkpoints what is due into the open commit; call it about once a commit. `all`: what is not
  // due too (a clean stop). Returns how many states that wait for it were left.
  Result<size_t> checkpoint(bool all = false);

  // Versions of the models behind a decision.
  Result<void> install_champion(size_t decision, std::unique_ptr<serve::LearningVersion> version);
  void install_challenger(size_t decision, std::unique_ptr<serve::LearningVersion> version);
  // The challenger becomes champion between two events. Returns the old champion, whose states stay
  // on disk until erased.
  std::unique_ptr<serve::LearningVersion> swap_challenger(size_t decision);
  // From now on every observation is put aside there too; null: no longer.
  void tap_decision(size_t decision, DecisionTap* tap) { decisions_[decision].tap = tap; }
  // Checkpoints some of a version that is not installed; `heads`: how far it has learned.
  Result<void> checkpoint_version(serve::LearningVersion& version,
                                  const std::map<PartitionId, Seq>& heads);
  // States that another definition left under this version's name are staged to be erased: then it
  // begins anew, and the answer is true.
  Result<bool> stage_definition(const serve::LearningVersion& version, store::Txn& txn) const;
  // Stages the end of all that is on disk of a version that is no longer installed.
  void erase_version(const serve::LearningVersion& version);
  // Up to here every state of the owner is on disk. Any thread.
  Result<Seq> low_water(const std::string& owner, PartitionId partition) const;
  // Up to where every state made from this log partition is on disk, champion's and challenger's
  // alike; stages that as the point where a start begins to read. Nothing when there are none.
  Result<std::optional<Seq>> settle(PartitionId partition);
  serve::LearningVersion* champion(size_t decision) { return decisions_[decision].champion.get(); }
  serve::LearningVersion* challenger(size_t decision) {
    return decisions_[decision].challenger.get();
  }
  serve::LearningOptions learning_options(size_t decision) const;
  // The decision streams of a decision with the last seq decided in each.
  std::map<PartitionId, Seq> streams_of(size_t decision) const;

  // What a start found behind the last checkpoints: records read in the logs, and those of them
  // that states on disk do not hold, which each key replays when it is first touched.
  struct Tail {
    size_t read = 0;
    size_t to_replay = 0;
  };
  Tail tail();

  Result<FeatureAnswer> read_features(const std::string& view, const std::string& key,
                                      EventTime as_of) const;
  EventTime watermark_of(size_t source) const;
  const streams::GateCounts& gate_counts(size_t source) const {
    return sources_[source].gate->counts();
  }
  const store::MemoryBudget& view_memory() const { return *view_memory_; }
  const store::MemoryBudget& model_memory() const { return *model_memory_; }
  const streams::SeenIds& seen_ids(size_t source) const { return sources_[source].gate->ids(); }
  std::vector<PartitionProgress> progress() const;
  // By the states' owner: "view/metric@<hash>", "model/...".
  std::map<std::string, StateLag> state_lags();
  // Those of which some keys have not caught up since the start; see KeyedTable::warm().
  std::vector<std::shared_ptr<store::KeyedTable>> cold_tables();

 private:
  struct PartitionRun {
    uint32_t source_partition = 0;
    PartitionId id;
    Seq last;
    std::vector<std::shared_ptr<store::KeyedTable>> views;  // as PlanSource::views
    // As `views`: up to when a view lacks events, which retention removed before it was built, or
    // which another member of the group took. kUnknownLoss: until the next event tells.
    std::vector<EventTime> lost;
    // Up to when the log lacks events that others took in; the least time where it does not.
    EventTime gap{std::numeric_limits<int64_t>::min()};
    bool loss_told = true;                                 // a person was told of it
    EventTime swept{std::numeric_limits<int64_t>::min()};  // the watermark when it was swept
    std::vector<size_t> sweeping;                          // views whose sweep goes on
    std::map<size_t, PartitionId> streams;                 // decision -> stream
  };
  struct SourceRun {
    std::optional<streams::Gate> gate;
    uint64_t schema_id = 0;  // of its events' rows
    std::map<uint32_t, PartitionRun> partitions;
    streams::SavedPositions saved;
    std::vector<features::Cell> cells;  // working memory: the source's inputs and a decision's own
    std::vector<features::ViewWorker> views;  // as PlanSource::views
    std::vector<features::FeatureRow> view_rows;
    std::vector<std::vector<std::string>> view_texts;  // of view_rows
    std::vector<features::Evaluator> derived;
  };
  // Evaluators are as in PlanDecision; nothing where there is no condition.
  using Condition = std::optional<features::Evaluator>;
  struct DecisionRun {
    DecisionRun(const PlanDecision& planned, const PlanSource& source);
    std::unique_ptr<serve::LearningVersion> champion;
    std::unique_ptr<serve::LearningVersion> challenger;
    DecisionTap* tap = nullptr;
    std::map<PartitionId, Seq> streams;
    Condition when;
    std::optional<features::Evaluator> severity;
    std::vector<features::Evaluator> rules, outputs;
    std::string served_by;
    schema::DecisionSchema schema;  // of the records it makes
    uint64_t schema_id = 0;
    std::vector<Condition> sinks, heals;
    std::vector<std::string> streams_of_rows;  // RowOrigin's, by sink; empty: they have none
    AlertWishes wishes;                        // by the decision being made
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
  static constexpr EventTime kUnknownLoss{std::numeric_limits<int64_t>::max()};

  Result<void> open_source(size_t index);
  Result<PartitionRun*> partition(size_t source, uint32_t number);
  Result<void> index_tail(size_t source, PartitionRun& run);
  Result<void> rebuild_views(size_t source, PartitionRun& run, const std::vector<Seq>& low);
  Result<void> note_lost_events(size_t source, PartitionRun& run, const std::vector<Seq>& low);
  // States that nobody needs any more: of keys whose last event left the last window, and of views
  // that the plan no longer names.
  Result<void> find_unused();
  Result<void> sweep();
  Result<void> sweep_keys(SourceRun& run, const PlanSource& source);
  void sweep_owners();
  Result<void> rebuild_version(serve::LearningVersion& version, PartitionId stream, Seq from,
                               Seq last);
  // Commits what the tables hold up to `head` at once; while nothing else runs.
  Result<void> checkpoint_now(const std::shared_ptr<store::KeyedTable>& table,
                              const std::string& owner, PartitionId partition, Seq head);
  Result<void> index_decisions(size_t decision, PartitionId stream);
  // Stages the schema that this decision's next records are written under.
  void name_records(size_t decision);
  Result<void> index_version(serve::LearningVersion& version, PartitionId stream);
  void bury(const std::vector<schema::DeadLetter>& letters);
  void save_position(size_t source, PartitionRun& run, const streams::SourceBatch& batch);

  void note_gap(size_t source, PartitionRun& run, bool gap,
                const std::vector<schema::EventFacts>& behind);
  void reach_gap(size_t source, PartitionRun& run) const;
  void tell_gap(const Moment& moment, size_t source);
  void tell_loss(size_t source, const PartitionRun& run, size_t view, const char* why);

  Result<void> process(const Moment& moment);
  void log_event(const Moment& moment, std::string_view row_bytes);
  Result<void> apply_views(const Moment& moment);
  Result<void> fill_inputs(const Moment& moment);
  static void keep_texts(const features::View& view, features::FeatureRow& row,
                         std::vector<std::string>& texts);
  void count_refused(const features::View& view, std::string_view key);
  Result<void> decide(const Moment& moment, size_t decision);
  static void note_statuses(const SourceRun& run, schema::DecisionRecord& record);
  Result<bool> score(const Moment& moment, size_t decision, PartitionId stream,
                     schema::DecisionRecord& record, DecisionSeen& seen);
  void judge_wishes(const Moment& moment, size_t decision);
  void evaluate_rules(const Moment& moment, size_t decision, schema::DecisionRecord& record);
  void conclude(const Moment& moment, size_t decision, PartitionId stream,
                schema::DecisionRecord& record, DecisionSeen& seen);
  void send(const Moment& moment, size_t decision, const schema::DecisionRecord& record);
  Result<size_t> checkpoint_table(const std::shared_ptr<store::KeyedTable>& table,
                                  const std::string& owner, PartitionId partition, Seq head,
                                  bool all, bool& late);
  template <class Visit>
  Result<void> each_table(const Visit& visit);

  const std::shared_ptr<const Plan> plan_;
  store::Store& store_;
  store::Lane& lane_;
  store::Journal& journal_;
  streams::Outboxes& outboxes_;
  Healers& healing_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  const PipelineOptions options_;
  const std::shared_ptr<store::MemoryBudget> view_memory_, model_memory_;
  LatencyHistogram& computed_latency_;
  qw::Counter& decisions_total_;
  std::vector<Observer*> observers_;

  store::Partitions partitions_;
  Alerting alerting_;
  std::vector<SourceRun> sources_;
  std::vector<DecisionRun> decisions_;
  std::string row_bytes_;  // of the event in work
  size_t tail_read_ = 0;
  bool checkpoints_late_ = false;          // the last pass left states that were due long ago
  std::map<std::string, int64_t> unused_;  // owner of states -> seconds of running without its view
  mutable std::mutex
      tables_mutex_;  // guards the maps of tables against readers; tables have their own locks
};

}  // namespace qw::app
