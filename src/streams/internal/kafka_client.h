// What the Kafka source and sink share of librdkafka: owners of its handles, and its errors as
// ours.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::streams::internal {

struct KafkaDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  // Does not say goodbye to a group, which waits for a silent broker: a consumer that joined one
  // leaves it before.
  void operator()(rd_kafka_t* client) const {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_consumer_group_metadata_t* group) const {
    rd_kafka_consumer_group_metadata_destroy(group);
  }
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
};
template <class Handle>
using KafkaPtr = std::unique_ptr<Handle, KafkaDeleter>;

using KafkaSettings = std::map<std::string, std::string>;

// What every client has, then `ours`, then the user's. kBadInput names the setting that is refused,
// never its value.
Result<KafkaPtr<rd_kafka_conf_t>> kafka_conf(const KafkaSettings& ours, const KafkaSettings& users);
// Takes the settings. kBadInput: settings that do not fit together.
Result<KafkaPtr<rd_kafka_t>> kafka_client(rd_kafka_type_t type, KafkaPtr<rd_kafka_conf_t> conf);

// The metadata of a group's offset; the list owns the copy.
void set_metadata(rd_kafka_topic_partition_t& offset, std::string_view text);

// As rd_kafka_committed(), but a partition whose offset hangs on the end of somebody's transaction
// does not keep the others waiting: it has the error _TIMED_OUT.
rd_kafka_resp_err_t committed_each(rd_kafka_t* consumer, rd_kafka_topic_partition_list_t& list,
                                   int limit_ms);

// Who a consumer is in its group right now, as group_of() reads it; "" where it is nobody.
std::string group_identity(rd_kafka_t* consumer);
KafkaPtr<rd_kafka_consumer_group_metadata_t> group_of(const std::string& identity);

// kUnavailable for a broker that is away, kNotFound for a topic, kBadInput for rights and the like.
Error kafka_error(rd_kafka_resp_err_t code, const std::string& where, const char* detail = nullptr);
// What an error is about, without the addresses and times that differ from one to the next.
std::string reason_of(const Error& error);
// Of what librdkafka says about a connection that broke: what it suspects of the settings, or "".
std::string hint_of(const char* reason);

}  // namespace qw::streams::internal
