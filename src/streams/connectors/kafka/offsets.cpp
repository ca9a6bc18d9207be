#include "streams/connectors/kafka/offsets.h"

#include <algorithm>

namespace qw::streams::kafka {

Result<void> GroupOffsets::restore(const SavedPositions& saved) {
  const std::lock_guard lock(mutex_);
  for (const auto& [partition, resume] : saved) {
    QW_ASSIGN(durable_[partition], parse_place(resume));
  }
  return {};
}

void GroupOffsets::durable(uint32_t partition, const Place& place) {
  const std::lock_guard lock(mutex_);
  Place& durable = durable_.try_emplace(partition, place).first->second;
  if (durable.position() <= place.position()) durable = place;
}

std::optional<Place> GroupOffsets::kept(uint32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = durable_.find(partition);
  return found == durable_.end() ? std::nullopt : std::optional(found->second);
}

bool GroupOffsets::read_before() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(durable_, [&](const auto& one) {
    return one.second.topic.empty() || one.second.topic == topic_;
  });
}

Places GroupOffsets::durable_of(const std::set<uint32_t>& partitions) const {
  const std::lock_guard lock(mutex_);
  Places found;
  for (const auto& [partition, place] : durable_)
    // What was kept of another topic is nothing to tell of this one.
    if (partitions.contains(partition) && (place.topic.empty() || place.topic == topic_))
      found.emplace(partition, place);
  return found;
}

void GroupOffsets::begin(uint32_t partition, int64_t groups) {
  const std::lock_guard lock(mutex_);
  told_[partition] = floor_[partition] = groups;
}

void GroupOffsets::give_up(uint32_t partition) {
  const std::lock_guard lock(mutex_);
  told_.erase(partition);
}

internal::KafkaPtr<rd_kafka_topic_partition_list_t> GroupOffsets::to_tell(const Places& places,
                                                                          bool again) {
  internal::KafkaPtr<rd_kafka_topic_partition_list_t> offsets(rd_kafka_topic_partition_list_new(8));
  const std::lock_guard lock(mutex_);
  for (const auto& [partition, place] : places) {
    const auto told = told_.find(partition);
    if (told == told_.end() || told->second > place.position()) continue;
    if (told->second == place.position() && !again) continue;
    auto* one = rd_kafka_topic_partition_list_add(offsets.get(), topic_.c_str(),
                                                  static_cast<int32_t>(partition));
    one->offset = place.offset;
    internal::set_metadata(*one, encode_metadata(place));
    told->second = place.position();
  }
  return offsets;
}

void GroupOffsets::untold(uint32_t partition) {
  const std::lock_guard lock(mutex_);
  if (const auto told = told_.find(partition); told != told_.end())
    told->second = floor_[partition];
}

}  // namespace qw::streams::kafka
