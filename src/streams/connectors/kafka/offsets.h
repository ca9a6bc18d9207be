// What a consumer keeps of its partitions' places, and what its group was told of them.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "streams/connectors/kafka/place.h"
#include "streams/internal/kafka_client.h"
#include "streams/source.h"

namespace qw::streams::kafka {

using Places = std::map<uint32_t, Place>;

// Owned by a source; any thread.
class GroupOffsets {
 public:
  explicit GroupOffsets(std::string topic) : topic_(std::move(topic)) {}

  // What was saved before the start. kCorrupt: a place is damaged.
  Result<void> restore(const SavedPositions& saved);
  // Everything before it is durable here.
  void durable(uint32_t partition, const Place& place);
  std::optional<Place> kept(uint32_t partition) const;
  // Whether there are places of this topic, whichever partition's.
  bool read_before() const;
  // What is durable of these partitions of this topic.
  Places durable_of(const std::set<uint32_t>& partitions) const;

  // The partition is ours, and the group was told this position before.
  void begin(uint32_t partition, int64_t groups);
  void give_up(uint32_t partition);
  // Those of these places that the group was not told yet, to be committed now. `again`: those,
  // too, that it was told last.
  internal::KafkaPtr<rd_kafka_topic_partition_list_t> to_tell(const Places& places, bool again);
  // That commit failed: it is tried again.
  void untold(uint32_t partition);

 private:
  const std::string topic_;
  mutable std::mutex mutex_;
  Places durable_;
  std::map<uint32_t, int64_t> told_;   // of partitions with a place
  std::map<uint32_t, int64_t> floor_;  // what it had been told before
};

}  // namespace qw::streams::kafka
