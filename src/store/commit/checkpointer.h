// Brings the states of every keyed table to disk, a little with each commit, and knows from where a
// start would read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/commit/lane.h"
#include "store/keyed_state.h"
#include "store/store.h"

namespace qw::store {

// Up to here every state of the owner (a StateId's) is on disk; Seq{0}: none is. kCorrupt.
Result<Seq> stored_low_water(const Store& store, const std::string& owner, PartitionId partition);
// Of every partition where the owner has one.
Result<std::map<PartitionId, Seq>> stored_low_waters(const Store& store, const std::string& owner);

// How much of an owner's states is not on disk, all partitions together. A value.
struct StateLag {
  uint64_t events = 0;     // that a start now would read again
  size_t dirty = 0;        // states that wait for their checkpoint
  size_t catching_up = 0;  // keys that have not been touched since the start
};

// How far states may fall behind, and what one pass may cost. A value.
struct CheckpointerOptions {
  int64_t replay_max_us = 10'000'000;
  // A pass holds the lane for as long as this takes, a tenth of a millisecond or so. A table that
  // falls behind gets more.
  size_t budget_bytes = size_t{32} << 10;
  size_t catch_up_bytes = size_t{256} << 10;
};

// Shares its tables with those who apply records to them. Every call is under a hold of the lane,
// into which checkpoints go; where the disk fails the error says so and what was written counts.
class Checkpointer {
 public:
  Checkpointer(Store& store, Lane& lane, const Clock& clock, CheckpointerOptions options)
      : store_(store), lane_(lane), clock_(clock), options_(options) {}

  // Takes the table into every pass. `head`: the last record of its log that was applied, or
  // skipped; its owner moves it on under the lane, and it lives as long as the table is here.
  void add(std::shared_ptr<KeyedTable> table, const Seq& head);
  // Leaves all tables of that owner alone from now on.
  void remove(const std::string& owner);

  // Within this time a change is on disk: for the options of its tables.
  int64_t replay_max_us() const { return options_.replay_max_us; }

  // What is due, of every table; call it about once a commit. `all`: what is not due too (a clean
  // stop). Returns how many states that wait for it were left.
  Result<size_t> write(bool all = false);
  // All of a table that is not here, as far as the catch-up budget goes.
  Result<size_t> write_table(const std::shared_ptr<KeyedTable>& table, Seq head);
  // Gives `apply` the records [from, last] of a log from its beginning, wherever they are, as one
  // stream: reading each key's own from segments would take for ever. What the tables hold is
  // committed every now and then; while nothing else runs. Returns how many records it read.
  using Apply = std::function<Result<void>(Seq, std::string_view record)>;
  Result<size_t> rebuild(const std::vector<std::shared_ptr<KeyedTable>>& tables, Log log, Seq from,
                         Seq last, const Apply& apply);
  // Up to where every state made from this log partition is on disk, whoever's; stages that as the
  // point where a start begins to read. Nothing when there are none.
  std::optional<Seq> settle(PartitionId partition);

  // By owner: "view/metric@<hash>", "model/...".
  std::map<std::string, StateLag> lags() const;
  // Records that keys replay when they are first touched.
  size_t to_replay() const;
  // Those of which some keys have not caught up since the start; see KeyedTable::warm().
  std::vector<std::shared_ptr<KeyedTable>> cold() const;

 private:
  struct Entry {
    std::shared_ptr<KeyedTable> table;
    const Seq* head;
  };
  Result<void> write_now(const std::shared_ptr<KeyedTable>& table, Seq head);
  Result<size_t> write_entry(const std::shared_ptr<KeyedTable>& table, Seq head, bool all,
                             bool& late);

  Store& store_;
  Lane& lane_;
  const Clock& clock_;
  const CheckpointerOptions options_;
  std::vector<Entry> tables_;
  bool late_ = false;  // the last pass left states that were due long ago
};

}  // namespace qw::store
