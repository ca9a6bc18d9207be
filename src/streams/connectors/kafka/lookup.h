// What a consumer asks of the brokers about a topic before it reads.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <map>
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

  // The group's places, of the partitions that have one.
  Result<std::map<uint32_t, Place>> group_places(const std::vector<uint32_t>& partitions) const;
  // What the partitions hold; those whose leader does not answer are missing.
  Result<std::map<uint32_t, Range>> ranges(const std::vector<uint32_t>& partitions) const;
  // Every partition there is.
  Result<std::vector<uint32_t>> partitions() const;
};

}  // namespace qw::streams::kafka
