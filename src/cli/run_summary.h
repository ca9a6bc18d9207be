// What a run to the end of its files came to: for whoever, or whatever, started it.
#pragma once

#include <cstdint>

#include "app/runtime/runtime.h"
#include "base/ids.h"

namespace qw::cli {

// Notes the time at the start; tells at the end, after the stop.
class RunSummary {
 public:
  RunSummary(app::Runtime& runtime, const Clock& clock);

  // Writes some lines into the log: records read, what became of them, how many a second, and of
  // each reason for a dead letter the first example. Returns kOk, kFailed when records were read
  // and none could be used, or kPartial when some could not be.
  int tell(MetricRegistry& metrics) const;

 private:
  void tell_dead_letters(uint64_t count) const;

  app::Runtime& runtime_;
  const Clock& clock_;
  const int64_t began_ns_;
};

}  // namespace qw::cli
