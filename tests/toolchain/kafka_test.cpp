// Aim: librdkafka writes and reads. Method: the same transactional round trip on the library's own
// mock cluster (always) and on the real broker (where the test run started one).
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kTimeoutMs = 30000;
using Client = std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)>;
using Settings = std::vector<std::pair<std::string, std::string>>;

Client make_client(rd_kafka_type_t type, const Settings& settings) {
  std::array<char, 512> error{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [key, value] : settings) {
    EXPECT_EQ(rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error.data(), error.size()),
              RD_KAFKA_CONF_OK)
        << error.data();
  }
  rd_kafka_t* client = rd_kafka_new(type, conf, error.data(), error.size());
  EXPECT_NE(client, nullptr) << error.data();
  return {client, &rd_kafka_destroy};
}

std::string error_text(rd_kafka_error_t* error) {
  if (error == nullptr) return "";
  std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return text;
}

void write_in_transaction(const std::string& brokers, const std::string& topic,
                          const std::string& id) {
  const Client producer = make_client(
      RD_KAFKA_PRODUCER,
      {{"bootstrap.servers", brokers}, {"transactional.id", id}, {"compression.codec", "lz4"}});
  ASSERT_EQ(error_text(rd_kafka_init_transactions(producer.get(), kTimeoutMs)), "");
  ASSERT_EQ(error_text(rd_kafka_begin_transaction(producer.get())), "");
  std::string payload = "hello";
  ASSERT_EQ(rd_kafka_producev(producer.get(), RD_KAFKA_V_TOPIC(topic.c_str()),
                              RD_KAFKA_V_VALUE(payload.data(), payload.size()),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
            RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_EQ(error_text(rd_kafka_commit_transaction(producer.get(), kTimeoutMs)), "");
}

std::string read_one(const std::string& brokers, const std::string& topic) {
  const Client consumer = make_client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", brokers},
                                                          {"group.id", topic},
                                                          {"auto.offset.reset", "earliest"},
                                                          {"isolation.level", "read_committed"}});
  rd_kafka_poll_set_consumer(consumer.get());
  rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, topic.c_str(), 0);
  EXPECT_EQ(rd_kafka_assign(consumer.get(), topics), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_partition_list_destroy(topics);
  std::string payload = "nothing came";
  rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer.get(), kTimeoutMs);
  if (message != nullptr) {
    payload = message->err != RD_KAFKA_RESP_ERR_NO_ERROR
                  ? rd_kafka_err2str(message->err)
                  : std::string(static_cast<const char*>(message->payload), message->len);
    rd_kafka_message_destroy(message);
  }
  EXPECT_EQ(rd_kafka_consumer_close(consumer.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
  return payload;
}

TEST(Toolchain, KafkaMockCarriesARecord) {
  const Client owner = make_client(RD_KAFKA_PRODUCER, {});
  using Mock = std::unique_ptr<rd_kafka_mock_cluster_t, decltype(&rd_kafka_mock_cluster_destroy)>;
  const Mock mock(rd_kafka_mock_cluster_new(owner.get(), 1), &rd_kafka_mock_cluster_destroy);
  ASSERT_TRUE(mock);
  const std::string brokers = rd_kafka_mock_cluster_bootstraps(mock.get());
  ASSERT_EQ(rd_kafka_mock_topic_create(mock.get(), "hello", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  write_in_transaction(brokers, "hello", "toolchain");
  EXPECT_EQ(read_one(brokers, "hello"), "hello");
}

TEST(Toolchain, KafkaBrokerCarriesATransaction) {
  const char* brokers = std::getenv("QUICKWATER_KAFKA");
  if (brokers == nullptr) GTEST_SKIP() << "QUICKWATER_KAFKA is not set: no broker was started";
  const std::string topic = "qw-toolchain-" + std::to_string(getpid());
  write_in_transaction(brokers, topic, topic);
  EXPECT_EQ(read_one(brokers, topic), "hello");
}

}  // namespace
