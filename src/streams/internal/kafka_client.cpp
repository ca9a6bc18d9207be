#include "streams/internal/kafka_client.h"

#include <fmt/format.h>

#include <array>

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

Error kafka_error(rd_kafka_resp_err_t code, const std::string& where, const char* detail) {
  const ErrorCode ours = code_of(code);
  std::string message = rd_kafka_err2str(code);
  if (detail != nullptr) message += fmt::format(" ({})", detail);
  return Error{ours, std::move(message), where,
               ours == ErrorCode::kUnavailable
                   ? "start the broker or correct `brokers`; it is tried"
                     " again by itself"
                   : ""};
}

}  // namespace qw::streams::internal
