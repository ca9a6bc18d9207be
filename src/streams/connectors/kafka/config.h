// `kafka:` a topic read as a member of a consumer group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace qw::streams::kafka {

class GroupMember;

enum class Start : uint8_t { kEarliest, kLatest };

// Which topic a kafka source reads, and as whom. A value; check() names what is missing or out of
// range.
struct Config {
  std::string brokers;  // "host:port,host:port"
  std::string topic;
  std::string group;
  Start start = Start::kEarliest;  // where neither we nor the group have a position
  int64_t session_timeout_ms = 10'000;
  int64_t flush_timeout_ms = 8'000;      // to make everything durable before giving partitions up
  int64_t leave_timeout_ms = 10'000;     // for all of close()
  size_t max_queued_kbytes = 16 * 1024;  // fetched ahead, per process
  // Of a partition that others decided on: how far back it is read, before the member goes on, for
  // what is remembered; by the time that Kafka keeps with records. At most so many records.
  int64_t remember_us = 0;
  int64_t rebuild_max = 10'000'000;
  // Handed to librdkafka as they are (security.protocol, sasl.*, ssl.*); values are never logged.
  std::map<std::string, std::string> client;
  // For sinks that write in this cluster; null: there are none, and the group is told what is
  // durable here, delivered or not.
  std::shared_ptr<GroupMember> member;
};

Result<void> check(const Config& config);

// Whether a user may give a client this setting, of a source or a sink: refuses what carries a
// guarantee, what librdkafka does not know, and values that it does not take (an empty one, not
// known yet, is not judged). Names the setting, never its value.
Result<void> check_client_setting(const std::string& name, const std::string& value);

}  // namespace qw::streams::kafka
