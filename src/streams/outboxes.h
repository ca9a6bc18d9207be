// The outboxes of the application: one worker per sink, fed by commits.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "streams/outbox.h"

namespace qw::streams {

// Writes what became of deliveries into a lane. Any thread; lane and journal outlive it.
class OutcomeWriter final : public OutboxHost {
 public:
  OutcomeWriter(store::Lane& lane, store::Journal& journal) : lane_(lane), journal_(journal) {}
  Result<void> commit(const Stage& stage,
                      const std::vector<schema::JournalRecord>& records) override;

 private:
  store::Lane& lane_;
  store::Journal& journal_;
};

// Owns the workers. add(), then start() by one thread; put() by whoever holds a lane; the rest from
// any thread.
class Outboxes final {
 public:
  // What became of deliveries is written into `lane`, where a sink has no lane of its own.
  Outboxes(const store::Store& store, store::Lane& lane, store::Journal& journal,
           const Clock& clock, MetricRegistry& metrics);

  // Before start(). The sink's name is unique. A sink that writes of its deliveries itself names
  // the lane it writes into: so that no row is erased without what the sink wrote of it.
  Result<void> add(OutboxOptions options, std::unique_ptr<Sink> sink,
                   store::Lane* sinks_lane = nullptr);
  Result<void> start();
  void end_soon();
  // Lets what is being delivered end until then (monotonic), and cancels what does not.
  void stop(int64_t until_ns);

  // Writes the row into an open commit and wakes the worker once it is durable. A full outbox that
  // drops counts and writes nothing.
  void put(store::PendingCommit& open, const std::string& sink, const OutboxRow& row);
  // The last durable row.
  Seq last(const std::string& sink) const { return workers_.at(sink)->last(); }
  // See OutboxWorker.
  bool settled(const std::string& sink, Seq up_to, uint32_t partition) const {
    return workers_.at(sink)->settled(up_to, partition);
  }
  // False while a sink that pauses its sources is full.
  bool room() const;
  std::map<std::string, OutboxStatus> status() const;

 private:
  // Rows that wait for a sink that the application no longer has: kept, and said at every start.
  Result<void> tell_of_removed_sinks();

  const store::Store& store_;
  store::Lane& lane_;
  store::Journal& journal_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  std::vector<std::unique_ptr<OutcomeWriter>> writers_;           // of each worker
  std::map<std::string, std::unique_ptr<OutboxWorker>> workers_;  // by sink
};

}  // namespace qw::streams
