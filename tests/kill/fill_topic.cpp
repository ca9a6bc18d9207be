// fill_topic BROKERS TOPIC PARTITIONS ROWS_PER_SECOND < LINES: makes the topic and writes lines
// "PARTITION <tab> RECORD" into it, in order within a partition; 0 rows per second: no pace.
#include <librdkafka/rdkafka.h>

#include <iostream>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/log.h"

namespace qw {
namespace {

constexpr int kAnswerMs = 30'000;

// What the broker did not take in the end.
void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* failures) {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  ++*static_cast<int*>(failures);
  log::error("fill_topic", "not delivered: {}", rd_kafka_err2str(message->err));
}

struct EndClient {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using Client = std::unique_ptr<rd_kafka_t, EndClient>;

Client connect(const char* brokers, int& failures) {
  char reason[256];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const std::pair<const char*, const char*> settings[] = {
      {"bootstrap.servers", brokers}, {"linger.ms", "2"}, {"enable.idempotence", "true"}};
  for (const auto& [name, value] : settings)
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK) return {};
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, &failures);
  return Client(rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason));
}

bool create_topic(rd_kafka_t* client, const char* name, int partitions) {
  char reason[256];
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name, partitions, 1, reason, sizeof reason);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, &topic, 1, nullptr, queue);
  rd_kafka_event_t* done = rd_kafka_queue_poll(queue, kAnswerMs);
  const bool made = done != nullptr && rd_kafka_event_error(done) == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (done != nullptr) rd_kafka_event_destroy(done);
  rd_kafka_NewTopic_destroy(topic);
  rd_kafka_queue_destroy(queue);
  return made;
}

bool send(rd_kafka_t* client, const char* topic, const std::string& line) {
  const size_t tab = line.find('\t');
  if (tab == std::string::npos) return false;
  std::string record = line.substr(tab + 1);
  while (true) {
    const auto code = rd_kafka_producev(
        client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(std::stoi(line.substr(0, tab))),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(record.data(), record.size()),
        RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return code == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_poll(client, 100);
  }
}

int fill(const char* brokers, const char* topic, int partitions, int64_t rows_per_second) {
  int failures = 0;
  const Client client = connect(brokers, failures);
  if (!client || !create_topic(client.get(), topic, partitions)) {
    log::error("fill_topic", "cannot make the topic {} at {}", topic, brokers);
    return 1;
  }
  const Clock& clock = real_clock();
  const int64_t began_ns = clock.monotonic_ns();
  std::string line;
  for (int64_t sent = 0; std::getline(std::cin, line); ++sent) {
    while (rows_per_second > 0 &&
           (clock.monotonic_ns() - began_ns) / 1000 * rows_per_second < sent * 1'000'000)
      clock.sleep_us(1'000);
    if (!send(client.get(), topic, line)) {
      log::error("fill_topic", "cannot send: {}", line);
      return 1;
    }
    rd_kafka_poll(client.get(), 0);
  }
  const auto flushed = rd_kafka_flush(client.get(), kAnswerMs);
  if (flushed != RD_KAFKA_RESP_ERR_NO_ERROR)
    log::error("fill_topic", "{} records wait still", rd_kafka_outq_len(client.get()));
  return flushed == RD_KAFKA_RESP_ERR_NO_ERROR && failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace qw

int main(int argc, char** argv) {
  if (argc == 5) return qw::fill(argv[1], argv[2], std::stoi(argv[3]), std::stoll(argv[4]));
  qw::log::error("fill_topic",
                 "usage: fill_topic BROKERS TOPIC PARTITIONS ROWS_PER_SECOND < LINES");
  return 2;
}
