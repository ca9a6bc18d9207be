// The outboxes of the application: one worker per sink, fed by commits.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/runtime/committer.h"
#include "app/runtime/journal.h"
#include "streams/outbox.h"

namespace qw::app {

// Owns the workers. put() is called under the committer's mutex, by the pipeline; the rest from any
// thread.
class Outboxes final : public streams::OutboxHost {
 public:
  Outboxes(const store::Store& store, Committer& committer, Journal& journal, const Clock& clock,
           MetricRegistry& metrics);

  // Before start(). The sink's name is unique.
  Result<void> add(streams::OutboxOptions options, std::unique_ptr<streams::Sink> sink);
  Result<void> start();
  void end_soon();
  // Lets what is being delivered end until then (monotonic), and cancels what does not.
  void stop(int64_t until_ns);

  // Writes the row into the open commit and wakes the worker once it is durable. A full outbox that
  // drops counts and writes nothing.
  void put(PendingCommit& open, const std::string& sink, const streams::OutboxRow& row);
  // False while a sink that pauses its sources is full.
  bool room() const;
  std::map<std::string, streams::OutboxStatus> status() const;

  Result<void> commit(const Stage& stage,
                      const std::vector<schema::JournalRecord>& records) override;

 private:
  // Rows that wait for a sink that the application no longer has: kept, and said at every start.
  Result<void> tell_of_removed_sinks();

  struct Box {
    std::unique_ptr<streams::OutboxWorker> worker;
    Seq last;
  };
  const store::Store& store_;
  Committer& committer_;
  Journal& journal_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  std::map<std::string, Box> boxes_;
};

}  // namespace qw::app
