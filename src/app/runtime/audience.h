// Who hears of an alert: the sinks and healing actions whose condition lets it through, and the
// sinks that have heard of it and must hear of its end.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "app/runtime/plan.h"
#include "base/ids.h"
#include "monitor/alerts/book.h"
#include "store/commit/lane.h"
#include "store/store.h"

namespace qw::app {

// What a decision's conditions say: by index, of its sinks and of its healing actions. True where
// there is no condition. A value.
struct AlertWishes {
  std::vector<bool> sinks;
  std::vector<bool> heals;

  friend bool operator==(const AlertWishes&, const AlertWishes&) = default;
};

// Remembers per key what the conditions said on its newest decision, because an alert that the
// clock fires has no event of its own to judge by, and which sinks were told. Kept in the commit
// that changes it, only while the key has a pending or open alert, and only for decisions with
// conditions. Used by the pipeline's thread under the pipeline's lane.
class AlertAudience {
 public:
  struct Key {
    size_t decision = 0;
    PartitionId stream;
    std::string key;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  explicit AlertAudience(const Plan& plan);
  Result<void> open(const store::Store& store);

  // What the newest decision on the key says. `quiet`: nothing is pending or open, forget it.
  void judged(store::PendingCommit& open, const Key& key, bool quiet, const AlertWishes& wishes);
  // Who hears of the change. As it fires or rises: those whose condition holds, and those that
  // heard of it before; as it ends or falls silent: those that heard.
  AlertWishes hear(store::PendingCommit& open, size_t decision, const monitor::AlertChange& change);

 private:
  struct Entry {
    AlertWishes newest;
    std::vector<bool> told;  // by sink

    friend bool operator==(const Entry&, const Entry&) = default;
  };
  AlertWishes everybody(size_t decision) const;
  std::string meta_name(const Key& key) const;
  void keep(store::PendingCommit& open, const Key& key, const Entry& entry) const;
  void forget(store::PendingCommit& open, const Key& key);
  Result<Entry> restored(size_t decision, std::string_view bytes) const;

  const Plan& plan_;
  std::vector<bool> conditional_;  // by decision: it has conditions on alerts
  std::map<Key, Entry> entries_;
};

}  // namespace qw::app
