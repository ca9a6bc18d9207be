// The application's own numbers for partitions and decision streams: given once, kept for ever.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::store {

// Names are "SOURCE/3" for partition 3 of a source and "DECISION@SOURCE/3" for the decisions made
// there. A new name takes the next free number and is saved with the first commit that uses it.
// Used by the pipeline's thread only.
class Partitions {
 public:
  Result<void> open(const Store& store);
  PartitionId id_of(const std::string& name, Txn& txn);
  // Every name known so far.
  const std::map<std::string, PartitionId>& known() const { return ids_; }

 private:
  std::map<std::string, PartitionId> ids_;
  uint32_t last_ = 0;
};

}  // namespace qw::store
