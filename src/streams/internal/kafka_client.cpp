#include "streams/internal/kafka_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/env.h"
#include "base/log.h"

namespace qw::streams::internal {
namespace {

// librdkafka repeats connection trouble every few seconds; the status says it once.
void write_log(const rd_kafka_t*, int, const char* facility, const char* text) {
  log::debug("kafka", "{}: {}", facility, text);
}

// Of every client.
const KafkaSettings kShared = {
    {"client.id", "quickwater"},
    {"log.connection.close", "false"},
    // Bounds how long the end of a client waits for what a frozen broker never answers.
    {"socket.timeout.ms", "10000"}};

Result<void> set(rd_kafka_conf_t* conf, const KafkaSettings& settings) {
  for (const auto& [name, value] : settings) {
    std::array<char, 256> detail{};  // may repeat the value: not shown
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), detail.data(), detail.size()) !=
        RD_KAFKA_CONF_OK)
      return Error{ErrorCode::kBadInput, fmt::format("librdkafka refuses the setting '{}'", name),
                   "kafka", "see librdkafka's CONFIGURATION.md for names and values"};
  }
  return {};
}

ErrorCode code_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return ErrorCode::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: return ErrorCode::kBadInput;
    case RD_KAFKA_RESP_ERR__TIMED_OUT: return ErrorCode::kTimeout;
    case RD_KAFKA_RESP_ERR__FATAL: return ErrorCode::kInternal;
    default: return ErrorCode::kUnavailable;
  }
}

const char* mend_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
      return "compare security.protocol, sasl.mechanism, sasl.username and sasl.password under "
             "`client:` with the broker's listener; it is tried again by itself";
    case RD_KAFKA_RESP_ERR__SSL:
      return "compare security.protocol and ssl.* under `client:` with the broker's listener and "
             "its certificate; it is tried again by itself";
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return "correct the host in `brokers`, or the broker's advertised.listeners; it is tried "
             "again by itself";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return "allow this user to read (a source) or write (a sink) the topic, and to describe it";
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return "allow this user to read the group: a source's `group`, and for a sink the group "
             "named APP-SINK";
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return "allow this user to write and describe the transactional id APP-SINK";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "allow this user idempotent writes on the cluster";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return "create the topic, or correct `topic`; it is tried again by itself";
    default: break;
  }
  if (code_of(code) != ErrorCode::kUnavailable) return "";
  return "start the broker or correct `brokers`; it is tried again by itself";
}

}  // namespace

Result<KafkaPtr<rd_kafka_conf_t>> kafka_conf(const KafkaSettings& ours,
                                             const KafkaSettings& users) {
  KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  QW_TRY(set(conf.get(), kShared));
  QW_TRY(set(conf.get(), ours));
  QW_TRY(set(conf.get(), users));
  rd_kafka_conf_set_log_cb(conf.get(), write_log);
  return conf;
}

Result<KafkaPtr<rd_kafka_t>> kafka_client(rd_kafka_type_t type, KafkaPtr<rd_kafka_conf_t> conf) {
  std::array<char, 256> detail{};
  rd_kafka_t* client = rd_kafka_new(type, conf.get(), detail.data(), detail.size());
  if (client == nullptr)
    return Error{ErrorCode::kBadInput, fmt::format("no Kafka client: {}", detail.data()), "kafka",
                 "check the client settings"};
  (void)conf.release();  // the client owns it now
  return KafkaPtr<rd_kafka_t>(client);
}

void set_metadata(rd_kafka_topic_partition_t& offset, std::string_view text) {
  offset.metadata_size = text.size();
  offset.metadata = rd_kafka_mem_malloc(nullptr, text.size());
  std::copy(text.begin(), text.end(), static_cast<char*>(offset.metadata));
}

rd_kafka_resp_err_t committed_each(rd_kafka_t* consumer, rd_kafka_topic_partition_list_t& list,
                                   int limit_ms) {
  constexpr auto kLate = RD_KAFKA_RESP_ERR__TIMED_OUT;
  const int64_t until_ns = real_clock().monotonic_ns() + int64_t{limit_ms} * 1'000'000;
  const bool several = list.cnt > 1;
  const auto code = rd_kafka_committed(consumer, &list, several ? limit_ms * 2 / 5 : limit_ms);
  if (code != kLate || !several) return code;
  auto known = kLate;
  for (int i = 0; i < list.cnt; ++i) {
    auto& wanted = list.elems[i];
    const KafkaPtr<rd_kafka_topic_partition_list_t> one(rd_kafka_topic_partition_list_new(1));
    const auto& found =
        *rd_kafka_topic_partition_list_add(one.get(), wanted.topic, wanted.partition);
    const bool time = real_clock().monotonic_ns() < until_ns;
    wanted.err = time ? rd_kafka_committed(consumer, one.get(), limit_ms / 5) : kLate;
    if (wanted.err != 0) continue;
    known = RD_KAFKA_RESP_ERR_NO_ERROR;
    wanted.err = found.err;
    wanted.offset = found.offset;
    if (found.metadata != nullptr)
      set_metadata(wanted, {static_cast<const char*>(found.metadata), found.metadata_size});
  }
  return known;
}

std::string group_identity(rd_kafka_t* consumer) {
  const KafkaPtr<rd_kafka_consumer_group_metadata_t> group(
      rd_kafka_consumer_group_metadata(consumer));
  void* bytes = nullptr;
  size_t size = 0;
  if (!group) return "";
  const KafkaPtr<rd_kafka_error_t> error(
      rd_kafka_consumer_group_metadata_write(group.get(), &bytes, &size));
  if (error) return "";
  std::string identity(static_cast<const char*>(bytes), size);
  rd_kafka_mem_free(consumer, bytes);
  return identity;
}

KafkaPtr<rd_kafka_consumer_group_metadata_t> group_of(const std::string& identity) {
  rd_kafka_consumer_group_metadata_t* group = nullptr;
  const KafkaPtr<rd_kafka_error_t> error(
      rd_kafka_consumer_group_metadata_read(&group, identity.data(), identity.size()));
  return KafkaPtr<rd_kafka_consumer_group_metadata_t>(error ? nullptr : group);
}

Error kafka_error(rd_kafka_resp_err_t code, const std::string& where, const char* detail) {
  std::string message = rd_kafka_err2str(code);
  if (detail != nullptr) message += fmt::format(" ({})", detail);
  return Error{code_of(code), std::move(message), where, mend_of(code)};
}

std::string reason_of(const Error& error) {
  return error.message.substr(0, error.message.find(" ("));
}

std::string hint_of(const char* reason) {
  const std::string_view text = reason == nullptr ? "" : reason;
  for (const char* word : {"security.protocol", "SASL", "SSL"})
    if (text.find(word) != std::string_view::npos) return std::string(text);
  return "";
}

}  // namespace qw::streams::internal
