// How far what was decided on a source's partitions has been delivered.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "streams/outboxes.h"

namespace qw::app {

// Of each partition the last durable place behind which no row waits in the outboxes of `sinks`.
// It follows in steps: one place is waited for until its rows are gone, then the newest. Owned by a
// source's thread; any thread.
class DeliveredPlaces {
 public:
  DeliveredPlaces(const streams::Outboxes& outboxes, std::vector<std::string> sinks)
      : outboxes_(outboxes), sinks_(std::move(sinks)) {}

  // A place has become durable, after the rows of what was decided before it.
  void durable(uint32_t partition, const std::string& resume);
  std::optional<std::string> of(uint32_t partition);
  // Whether the newest place of each of these partitions is delivered.
  bool all(std::span<const uint32_t> partitions);

 private:
  struct Place {
    std::string resume;
    std::vector<Seq> rows;
  };
  struct Partition {
    std::optional<std::string> delivered;
    std::optional<Place> awaited, newest;
  };
  void look(uint32_t number, Partition& partition) const;

  const streams::Outboxes& outboxes_;
  const std::vector<std::string> sinks_;
  std::mutex mutex_;
  std::map<uint32_t, Partition> partitions_;
};

}  // namespace qw::app
