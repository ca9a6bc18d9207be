// The time by which alerts measure silence: it goes on after a restart where it was.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::app {

// Counts ticks, and of each source the *quiet time*: how long the program ran with nothing of it
// unread. Time away, a pause of the process, unread events and a clock that is set do not pass.
// Used by the pipeline's thread under the pipeline's lane.
class RunClock {
 public:
  RunClock(const Clock& clock, std::vector<std::string> sources);

  // Takes up what save() left. kCorrupt, kUnsupported.
  Result<void> open(const store::Store& store);
  // About once a second.
  void tick(const std::function<bool(size_t source)>& behind);
  // Belongs in the commit of what the tick changes. A crash takes back what was not saved.
  void save(store::Txn& txn);

  uint64_t ticks() const { return ticks_; }
  // Of `source`, as of the tick.
  int64_t quiet_us(size_t source) const { return sources_[source].quiet_us; }

  struct Reading {
    int64_t quiet_us = 0;  // of a source, if it is found to be read by the next tick
    int8_t direction = 0;  // the machine's clock was set since the last reading: -1 back, 1 ahead
  };
  // Now, which is `wall_us` by the machine's clock.
  Reading read(size_t source, int64_t wall_us);

 private:
  struct Source {
    std::string name;
    int64_t quiet_us = 0;
  };
  const Clock& clock_;
  std::vector<Source> sources_;
  uint64_t ticks_ = 0;
  int64_t ticked_ns_;
  int64_t offset_us_;     // of the wall clock from the monotonic one
  int8_t direction_ = 0;  // found at the start
};

}  // namespace qw::app
