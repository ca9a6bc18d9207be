// One partition of a source, as features know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "store/keyed_state.h"

namespace qw::features {

class Entities;

// Made and changed by the FeatureStore alone, under the lane; lives as long as that.
struct FeaturePartition {
  static constexpr EventTime kNone{std::numeric_limits<int64_t>::min()};
  // Until the next event tells.
  static constexpr EventTime kUnknown{std::numeric_limits<int64_t>::max()};

  size_t source = 0;
  uint32_t number = 0;  // the source's own
  PartitionId id;
  const Seq* last = nullptr;                              // the log's last event that was applied
  std::vector<std::shared_ptr<store::KeyedTable>> views;  // as SourceFeatures::views
  std::vector<Entities*> entities;                        // as `views`; of all partitions together
  std::vector<Entities*> joined;                          // as SourceFeatures::joined
  // As `views`: up to when a view lacks events, which retention removed before it was built, or
  // which another member of the group took.
  std::vector<EventTime> lost;
  EventTime gap = kNone;         // up to when the log lacks events that others took in
  bool loss_told = true;         // a person was told of it
  EventTime swept = kNone;       // the watermark when it was swept
  std::vector<size_t> sweeping;  // views whose sweep goes on
};

}  // namespace qw::features
