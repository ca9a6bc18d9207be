// What a consumer asks of the brokers about a topic before it reads.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "streams/connectors/kafka/place.h"

namespace qw::streams::kafka {

// Asks for one client and topic; each question waits at most `limit_ms`. A value.
struct Lookup {
  rd_kafka_t* client = nullptr;
  const std::string& topic;
  int limit_ms = 5'000;

  // The group's places, of the partitions that have one. Those that hang on the end of a
  // transaction are missing.
  using GroupPlaces = std::map<uint32_t, std::optional<Place>>;
  Result<GroupPlaces> group_places(const std::vector<uint32_t>& partitions) const;
  // What the partitions hold; those whose leader does not answer are missing.
  Result<std::map<uint32_t, Range>> ranges(const std::vector<uint32_t>& partitions) const;
  // The first record of each partition that is not older than its time (ms since 1970), by the time
  // that Kafka keeps with records; those without one, or whose leader does not answer, are missing.
  Result<std::map<uint32_t, int64_t>> at_times(const std::map<uint32_t, int64_t>& times_ms) const;
  // Commits the group's offsets, and waits for the answer.
  bool commit(const rd_kafka_topic_partition_list_t& offsets) const;
  // Every partition there is.
  Result<std::vector<uint32_t>> partitions() const;
};

}  // namespace qw::streams::kafka
