#include "app/runtime/delivered_places.h"

#include <algorithm>
#include <utility>

namespace qw::app {

void DeliveredPlaces::durable(uint32_t partition, const std::string& resume) {
  if (resume.empty() || sinks_.empty()) return;
  std::vector<Seq> rows;
  for (const std::string& sink : sinks_) rows.push_back(outboxes_.last(sink));
  const std::lock_guard lock(mutex_);
  partitions_[partition].newest = Place{resume, std::move(rows)};
}

void DeliveredPlaces::look(uint32_t number, Partition& partition) const {
  while (partition.awaited || partition.newest) {
    if (!partition.awaited) partition.awaited = std::exchange(partition.newest, std::nullopt);
    for (size_t index = 0; index < sinks_.size(); ++index)
      if (!outboxes_.settled(sinks_[index], partition.awaited->rows[index], number)) return;
    partition.delivered = std::move(partition.awaited->resume);
    partition.awaited.reset();
  }
}

std::optional<std::string> DeliveredPlaces::of(uint32_t partition) {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(partition);
  if (found == partitions_.end()) return std::nullopt;
  look(partition, found->second);
  return found->second.delivered;
}

bool DeliveredPlaces::all(std::span<const uint32_t> partitions) {
  const std::lock_guard lock(mutex_);
  return std::ranges::all_of(partitions, [&](uint32_t number) {
    const auto found = partitions_.find(number);
    if (found == partitions_.end()) return true;
    look(number, found->second);
    return !found->second.awaited;
  });
}

}  // namespace qw::app
