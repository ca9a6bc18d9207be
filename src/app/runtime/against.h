// An application file held against the data of an earlier one: what a start would keep, make anew,
// or refuse.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "models/registry.h"
#include "store/store.h"

namespace qw::app {

enum class Fate : uint8_t {
  kNew,         // nothing is stored of it
  kKept,        // as it is
  kRebuilt,     // made anew from the log
  kRemoved,     // stored, and no longer in the file
  kImpossible,  // a start is refused
};
std::string_view name_of(Fate fate);

// One part of the application and what becomes of what is stored of it. A value.
struct Finding {
  std::string part;  // "source", "view", "decision", "model", "sink"
  std::string name;
  Fate fate = Fate::kKept;
  std::string detail;       // one sentence or more, may be empty
  std::string how_to_mend;  // of what is impossible or lossy
  uint64_t records = 0;     // kept of it, or read again
  bool lossy = false;       // something that was there is missing afterwards, or not delivered
};

// Reads only; the store may be open for reading alone. Takes as long as reading the logs that a
// start would read. Errors: what cannot be read; what is impossible is a finding.
Result<std::vector<Finding>> hold_against(const Plan& plan, const store::Store& store,
                                          const models::Registry& registry);

}  // namespace qw::app
