// All alerts of one decision in one source: one state per key, one notification per group.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/alerts/policy.h"

namespace qw::monitor {

// Whose alerts these are; part of every alert's id.
struct AlertScope {
  std::string app;
  std::string decision;
  std::string source;
};

// "a-" and 16 hex digits: the same after every replay, different for each alert of a key.
std::string alert_id(const AlertScope& scope, PartitionId partition, std::string_view key,
                     uint64_t alert_seq);

// A transition of one key, with its place in the group.
struct AlertChange {
  Transition transition;
  PartitionId partition;
  std::string key;
  std::string alert_id;
  std::string lead_id;  // the alert under which receivers know of it; equals alert_id for the lead
  int64_t began_us = 0;
  int64_t opened_us = 0;
  double score_max = 0;
  bool flapping = false;
  // Whether receivers are told. False: a further key of an open group (its alert is recorded, and
  // named by its lead), or the end of one while others of the group are still open.
  bool notify = true;
};

// Owns the states. One thread at a time (the pipeline's). A key costs nothing until it first has a
// severity, and is forgotten when its alert ended and nothing of it could matter any more. At most
// `max_keys` keys; beyond it new ones are not judged and counted in refused().
//
// With AlertPolicy::learns_stale_after a key is stale after three of its own longest pauses of
// late, and before it was heard of twice after kUnknownPauseUs.
class AlertBook {
 public:
  struct Options {
    AlertScope scope;
    AlertPolicy policy;  // checked: check(policy).ok()
    size_t max_keys = 1'000'000;
  };
  static constexpr int64_t kUnknownPauseUs = 300'000'000;
  explicit AlertBook(Options options);

  // In alert ids `partition` is called `name`: the same in every data folder, as the order in which
  // an application meets its partitions is not. Before the partition's first observation.
  void name_partition(PartitionId partition, uint32_t name) { names_[partition] = name; }

  // `group`: alerts that open while one of the same group is open join it; empty: none. A joining
  // alert of a higher severity than all that are open in the group is told nevertheless.
  void observe(PartitionId partition, std::string_view key, std::string_view group,
               const Observation& observation, std::vector<AlertChange>& changes);
  // `after` gives the newest seq of a partition at the tick; keys are visited in order. See Tick.
  using NewestSeq = std::function<Seq(PartitionId)>;
  void tick(uint64_t number, int64_t quiet_us, const NewestSeq& after,
            std::vector<AlertChange>& changes);
  // The machine's clock was set; see note_clock_set.
  void clock_set(int8_t direction);

  // Forgets keys whose alert ended and whose cooldown and flapping are over in event time, looking
  // at kForgetLooks keys, in turn. Tells which, so that what was saved of them goes too.
  static constexpr size_t kForgetLooks = 4'096;
  using Forgotten = std::function<void(PartitionId, std::string_view key)>;
  void forget_ended(const Forgotten& forgotten);

  // The stored form of a key's state; false when there is none.
  bool save(PartitionId partition, std::string_view key, std::string& out) const;
  // Takes back what save() gave. Keys that are not idle must be restored before the next tick or
  // observation, so that groups are whole.
  Result<void> restore(PartitionId partition, std::string_view key, std::string_view bytes);
  const AlertState* find(PartitionId partition, std::string_view key) const;

  size_t keys() const { return entries_.size(); }
  // Those that ticks can change.
  std::vector<std::pair<PartitionId, std::string>> active() const;
  bool needs_ticks() const { return !active_.empty(); }
  size_t open() const { return open_; }
  uint64_t refused() const { return refused_; }
  const AlertScope& scope() const { return options_.scope; }

 private:
  struct Entry {
    AlertState state;
    uint64_t group = 0;    // 0: none
    uint64_t lead = 0;     // number of the alert that leads the group
    int64_t pause_us = 0;  // the longest of late, in event time; 0: not known
  };
  struct Group {
    uint64_t lead = 0;
    std::array<uint32_t, 4> open{};  // alerts by severity
    Severity loudest() const;
    bool empty() const { return loudest() == Severity::kNone; }
  };
  using Key = std::pair<PartitionId, std::string>;
  struct KeyLess {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return a.first != b.first ? a.first < b.first
                                : std::string_view(a.second) < std::string_view(b.second);
    }
  };
  using Entries = std::map<Key, Entry, KeyLess>;

  void apply(Entries::iterator at, const Transition& transition, std::vector<AlertChange>& changes);
  bool join_or_lead(Entry& entry, uint64_t id, Severity severity);
  bool escalate(const Entry& entry, const Transition& transition);
  bool leave(const Entry& entry);
  void index(Entries::iterator at);
  PartitionId named(PartitionId partition) const;
  AlertPolicy policy_of(const Entry& entry) const;

  Options options_;
  std::map<PartitionId, uint32_t> names_;
  Entries entries_;
  std::map<uint64_t, Group> groups_;                  // open ones only
  std::map<Key, Entries::iterator, KeyLess> active_;  // those that need ticks
  size_t open_ = 0;
  uint64_t refused_ = 0;
  int64_t last_event_us_ = kNever, passed_us_ = kNever;  // two observations are past passed_us_
  Key next_look_;                                        // forget_ended() goes on here
};

}  // namespace qw::monitor
