// What the application file says about each sink.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/net/http.h"

namespace qw::streams {

namespace kafka {
class GroupMember;
}

// The records that a Kafka sink's rows are decided on, read by a group in the sink's cluster. A
// value.
struct SharedSource {
  std::string stream;  // RowOrigin's
  std::string topic;
  std::string arrived_group;  // keeps what has arrived of each partition, whoever wrote it
  std::shared_ptr<kafka::GroupMember> member;
};

// A file of JSON lines. A value.
struct LogSinkConfig {
  std::string path;  // appended to, one JSON object a line; empty: standard error
};

// An address that is sent a POST for each row. A value.
struct WebhookSinkConfig {
  std::string url;
  std::string secret;    // signs the body when set; never logged
  net::Headers headers;  // values are never logged
  int timeout_ms = 5'000;
};

// Alertmanager's API. A value.
struct AlertmanagerSinkConfig {
  std::string url;  // "http://127.0.0.1:9093"
  int timeout_ms = 5'000;
  int64_t ends_after_ms = 240'000;  // endsAt of a firing alert
  int64_t resend_ms = 60'000;       // it is sent again so often; well below ends_after
};

// A topic, written in transactions. A value.
struct KafkaSinkConfig {
  std::string brokers;
  std::string topic;
  std::string transactional_id;               // fixed for this sink of this application
  std::string owner;                          // its data folder; see Lease
  size_t batch_rows = 500;                    // per transaction
  int timeout_ms = 10'000;                    // of a whole transaction
  std::map<std::string, std::string> client;  // librdkafka settings; values are never logged
  std::optional<SharedSource> source;
};

// One sink of the application, of one of the kinds above. A value.
struct SinkConfig {
  std::string name;  // unique in the application; names the outbox
  std::variant<LogSinkConfig, WebhookSinkConfig, AlertmanagerSinkConfig, KafkaSinkConfig> kind;
};

}  // namespace qw::streams
