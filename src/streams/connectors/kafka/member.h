// A Kafka source's membership in its group, for the sinks that write what is decided on its
// records.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "streams/connectors/kafka/place.h"

namespace qw::streams::kafka {

// Lets a sink in the same cluster write transactions that count only while the source has its
// partitions: whoever lost them is refused by the broker. Made by the application for a source and
// its sinks, which share it: the source writes, the sinks read. Any thread.
class GroupMember {
 public:
  // What the source has, from one assignment to the next. A value.
  struct Turn {
    uint64_t number = 0;             // another one: other partitions, or these anew
    std::string identity;            // as rd_kafka_consumer_group_metadata_write() gives it
    std::map<uint32_t, Place> ours;  // where another member would begin; of partitions in use
  };

  void join(std::string identity) {
    const std::lock_guard lock(mutex_);
    turn_ = {turn_.number + 1, std::move(identity), {}};
  }
  // Of a partition that is ours: the group was told, or may be told, this place. Never goes back.
  void place(uint32_t partition, const Place& place) {
    const std::lock_guard lock(mutex_);
    const auto [known, first] = turn_.ours.try_emplace(partition, place);
    turn_.number += first ? 1 : 0;
    if (known->second.position() < place.position()) known->second = place;
  }
  void leave() { join(""); }
  Turn turn() const {
    const std::lock_guard lock(mutex_);
    return turn_;
  }
  uint64_t number() const {
    const std::lock_guard lock(mutex_);
    return turn_.number;
  }

 private:
  mutable std::mutex mutex_;
  Turn turn_;
};

}  // namespace qw::streams::kafka
