// Aim: a reader of committed messages sees each outbox row exactly once and in order, whatever
// happens between sending a row and forgetting it. Method: the broker named by QUICKWATER_KAFKA and
// a plain consumer; crashes as sinks that go away without recording what they delivered, or inside
// a transaction.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "streams/connectors/kafka/member.h"
#include "streams/internal/kafka_client.h"
#include "streams/sinks/kafka/lease.h"
#include "streams/sinks/kafka/sink.h"

namespace qw::streams {
namespace {

using internal::KafkaPtr;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kPartitions = 2;
constexpr int kWaitMs = 60'000;

std::vector<PendingRow> rows(uint64_t from, uint64_t to, const std::string& prefix = "a") {
  std::vector<PendingRow> all;
  for (uint64_t n = from; n <= to; ++n)
    all.push_back(
        {Seq{n}, {prefix + std::to_string(n), 0, "key", "{\"n\":" + std::to_string(n) + "}"}});
  return all;
}

class KafkaSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("QUICKWATER_KAFKA");
    if (brokers == nullptr) GTEST_SKIP() << "QUICKWATER_KAFKA=host:port is not set";
    config_.brokers = brokers;
    config_.topic = "sink-" + std::to_string(entropy_seed());
    config_.transactional_id = "app-" + config_.topic;
    config_.timeout_ms = 30'000;
    create_topic();
  }

  KafkaPtr<rd_kafka_t> client(rd_kafka_type_t type, internal::KafkaSettings settings) const {
    settings.emplace("bootstrap.servers", config_.brokers);
    return std::move(
               internal::kafka_client(type, std::move(internal::kafka_conf(settings, {})).value()))
        .value();
  }
  void create_topic() const {
    const auto admin = client(RD_KAFKA_PRODUCER, {});
    char detail[256];
    rd_kafka_NewTopic_t* topic =
        rd_kafka_NewTopic_new(config_.topic.c_str(), kPartitions, 1, detail, sizeof detail);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", "20000");
    const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(admin.get()));
    rd_kafka_CreateTopics(admin.get(), &topic, 1, nullptr, queue.get());
    const KafkaPtr<rd_kafka_event_t> done(rd_kafka_queue_poll(queue.get(), kWaitMs));
    rd_kafka_NewTopic_destroy(topic);
    ASSERT_TRUE(done && rd_kafka_event_error(done.get()) == 0);
  }

  // A sink that is ready to write.
  std::unique_ptr<Sink> sink() const {
    auto made = std::move(make_kafka_sink(config_, real_clock())).value();
    const int64_t until_ns = real_clock().monotonic_ns() + int64_t{kWaitMs} * 1'000'000;
    while (true) {
      const auto opened = made->open("");
      if (opened.ok()) return made;
      if (real_clock().monotonic_ns() > until_ns) {
        ADD_FAILURE() << opened.error().to_string();
        return made;
      }
    }
  }
  // As the outbox worker: what is not delivered is offered again.
  static size_t deliver_all(Sink& sink, const std::vector<PendingRow>& all) {
    size_t done = 0;
    for (int tries = 0; done < all.size() && tries < 20; ++tries)
      done += sink.deliver(std::span(all).subspan(done)).delivered;
    return done;
  }
  // Every committed message: "partition key action-id value", partition by partition.
  std::vector<std::string> read_all() const {
    const auto consumer = client(RD_KAFKA_CONSUMER, {{"group.id", config_.topic + "-reader"},
                                                     {"enable.partition.eof", "true"},
                                                     {"isolation.level", "read_committed"},
                                                     {"auto.offset.reset", "earliest"}});
    rd_kafka_poll_set_consumer(consumer.get());
    const KafkaPtr<rd_kafka_topic_partition_list_t> all(
        rd_kafka_topic_partition_list_new(kPartitions));
    for (int partition = 0; partition < kPartitions; ++partition)
      rd_kafka_topic_partition_list_add(all.get(), config_.topic.c_str(), partition)->offset =
          RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer.get(), all.get());
    std::map<int, std::vector<std::string>> found;
    for (int ends = 0; ends < kPartitions;) {
      const KafkaPtr<rd_kafka_message_t> message(rd_kafka_consumer_poll(consumer.get(), kWaitMs));
      if (!message) {
        ADD_FAILURE() << "the reader gets nothing";
        break;
      }
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) ++ends;
      if (message->err == 0) found[message->partition].push_back(text_of(*message));
    }
    std::vector<std::string> texts;
    for (const auto& [partition, some] : found) texts.insert(texts.end(), some.begin(), some.end());
    return texts;
  }
  static std::string text_of(const rd_kafka_message_t& message) {
    rd_kafka_headers_t* headers = nullptr;
    const void* id = nullptr;
    size_t size = 0;
    if (rd_kafka_message_headers(&message, &headers) != 0 ||
        rd_kafka_header_get_last(headers, "action-id", &id, &size) != 0)
      return "no action id";
    const std::string key(static_cast<const char*>(message.key), message.key_len);
    return key + " " + std::string(static_cast<const char*>(id), size) + " " +
           std::string(static_cast<const char*>(message.payload), message.len);
  }

  KafkaSinkConfig config_;
};

TEST_F(KafkaSinkTest, WritesKeyActionIdAndValueInOrder) {
  const auto writer = sink();
  EXPECT_EQ(deliver_all(*writer, rows(1, 3)), 3u);
  EXPECT_THAT(read_all(), ElementsAre("key a1 {\"n\":1}", "key a2 {\"n\":2}", "key a3 {\"n\":3}"));
}

TEST_F(KafkaSinkTest, WhatArrivedBeforeACrashIsNotWrittenAgain) {
  EXPECT_EQ(deliver_all(*sink(), rows(1, 5)), 5u);
  const auto second = sink();  // the outbox still holds them, and two more
  const auto all = rows(1, 7);
  const auto report = second->deliver(all);
  EXPECT_EQ(report.delivered, 5u);
  EXPECT_EQ(deliver_all(*second, rows(6, 7)), 2u);
  EXPECT_EQ(deliver_all(*sink(), rows(8, 8)), 1u);
  EXPECT_EQ(read_all().size(), 8u);
}

TEST_F(KafkaSinkTest, WhatACrashLeftInATransactionIsNeverSeen) {
  const auto crashed = client(RD_KAFKA_PRODUCER, {{"transactional.id", config_.transactional_id}});
  ASSERT_EQ(rd_kafka_init_transactions(crashed.get(), kWaitMs), nullptr);
  ASSERT_EQ(rd_kafka_begin_transaction(crashed.get()), nullptr);
  const std::string value = "never";
  ASSERT_EQ(rd_kafka_producev(crashed.get(), RD_KAFKA_V_TOPIC(config_.topic.c_str()),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                              RD_KAFKA_V_END),
            0);
  ASSERT_EQ(rd_kafka_flush(crashed.get(), kWaitMs), 0);
  EXPECT_EQ(deliver_all(*sink(), rows(1, 2)), 2u);
  EXPECT_THAT(read_all(), ElementsAre("key a1 {\"n\":1}", "key a2 {\"n\":2}"));
}

TEST_F(KafkaSinkTest, APositionOfAnotherDataFolderHidesNothing) {
  EXPECT_EQ(deliver_all(*sink(), rows(1, 5, "old")), 5u);
  EXPECT_EQ(deliver_all(*sink(), rows(1, 5, "new")), 5u);
  EXPECT_EQ(read_all().size(), 10u);
}

TEST_F(KafkaSinkTest, RefusesARowThatTheBrokerNeverTakesAndWritesTheOthers) {
  const auto writer = sink();
  auto all = rows(1, 5);
  all[2].row.json = "\"" + std::string(100'000, 'x') + "\"";    // over the topic's limit
  all[4].row.json = "\"" + std::string(2'000'000, 'x') + "\"";  // over the client's own
  std::vector<uint64_t> refused;
  size_t at = 0;
  for (int tries = 0; at < all.size() && tries < 20; ++tries) {
    const auto report = writer->deliver(std::span(all).subspan(at));
    at += report.delivered;
    const auto* refusal = std::get_if<Refused>(&report.next);
    if (refusal == nullptr) continue;
    EXPECT_THAT(refusal->reason, HasSubstr(config_.topic));
    refused.push_back(all[at++].seq.value());
  }
  EXPECT_EQ(at, all.size());
  EXPECT_THAT(refused, ElementsAre(3, 5));
  EXPECT_THAT(read_all(), ElementsAre("key a1 {\"n\":1}", "key a2 {\"n\":2}", "key a4 {\"n\":4}"));
}

TEST_F(KafkaSinkTest, ASecondWriterFencesTheFirstOff) {
  const auto first = sink();
  EXPECT_EQ(deliver_all(*first, rows(1, 1)), 1u);
  const auto second = sink();
  const auto report = first->deliver(rows(2, 2));
  EXPECT_EQ(report.delivered, 0u);
  ASSERT_TRUE(std::holds_alternative<Retry>(report.next));
  EXPECT_THAT(std::get<Retry>(report.next).reason, HasSubstr("another process writes"));
  EXPECT_EQ(read_all().size(), 1u);
}

// Two data folders with one application name: the second waits while the first lives, and goes on
// when it is gone, whether it said so or not. The first is not disturbed, and never comes back.
TEST_F(KafkaSinkTest, ASecondDataFolderWaitsWhileTheFirstLives) {
  config_.owner = "one";
  auto first = sink();
  EXPECT_EQ(deliver_all(*first, rows(1, 2)), 2u);
  config_.owner = "two";
  const auto second = std::move(make_kafka_sink(config_, real_clock())).value();
  const auto wait = [&](Sink* living, int64_t span_ns) {
    const int64_t until_ns = real_clock().monotonic_ns() + span_ns;
    Result<Sink::Start> opened = second->open("");
    while (!opened.ok() && real_clock().monotonic_ns() < until_ns) {
      if (living != nullptr) (void)living->tick(0);
      real_clock().sleep_us(200'000);
      opened = second->open("");
    }
    return opened;
  };
  const auto refused = wait(first.get(), Lease::kAbandonedNs * 3 / 2);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("data folder one"));
  EXPECT_THAT(refused.error().to_string(), HasSubstr("another name"));
  EXPECT_EQ(deliver_all(*first, rows(3, 3)), 1u) << "the first is not disturbed";
  // It hangs, or was killed: no word of it for a while.
  ASSERT_TRUE(wait(nullptr, 3 * Lease::kAbandonedNs).ok());
  EXPECT_EQ(deliver_all(*second, rows(1, 2, "b")), 2u);
  EXPECT_EQ(first->deliver(rows(4, 4)).delivered, 0u) << "fenced off";
  EXPECT_TRUE(second->tick(0).ok());
  const auto late = first->deliver(rows(4, 4));
  ASSERT_TRUE(std::holds_alternative<Retry>(late.next));
  EXPECT_THAT(std::get<Retry>(late.next).reason, HasSubstr("data folder two"));
  EXPECT_EQ(deliver_all(*second, rows(3, 3, "b")), 1u) << "which took nothing back";
  EXPECT_EQ(read_all().size(), 6u);
}

TEST_F(KafkaSinkTest, WhoeverEndsOrStartsAgainMakesNobodyWait) {
  config_.owner = "one";
  EXPECT_EQ(deliver_all(*sink(), rows(1, 1)), 1u);
  auto killed = sink();
  const int64_t began_ns = real_clock().monotonic_ns();
  EXPECT_EQ(deliver_all(*sink(), rows(2, 2)), 1u) << "the same data folder";
  config_.owner = "two";
  EXPECT_EQ(deliver_all(*sink(), rows(1, 1, "b")), 1u) << "it was given back";
  EXPECT_LT(real_clock().monotonic_ns() - began_ns, Lease::kAbandonedNs * 9 / 10);
  killed.reset();
}

// Two members of a group, each with a sink of its own: what one has delivered the other finds
// there, and whoever is out of the group delivers nothing, although it does not know that yet.
class KafkaMembersTest : public KafkaSinkTest {
 protected:
  // A real member of the group, which reads nothing.
  KafkaPtr<rd_kafka_t> join(kafka::GroupMember& member) {
    auto consumer = client(RD_KAFKA_CONSUMER, {{"group.id", group()},
                                               {"session.timeout.ms", "6000"},
                                               {"isolation.level", "read_committed"}});
    rd_kafka_poll_set_consumer(consumer.get());
    const KafkaPtr<rd_kafka_topic_partition_list_t> topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), config_.topic.c_str(), RD_KAFKA_PARTITION_UA);
    EXPECT_EQ(rd_kafka_subscribe(consumer.get(), topics.get()), 0);
    await_assignment(consumer.get());
    member.join(internal::group_identity(consumer.get()));
    for (uint32_t partition = 0; partition < kPartitions; ++partition)
      member.place(partition, {7, 0, std::nullopt, config_.topic});
    return consumer;
  }
  static void await_assignment(rd_kafka_t* consumer) {
    const int64_t until_ns = real_clock().monotonic_ns() + int64_t{kWaitMs} * 1'000'000;
    while (real_clock().monotonic_ns() < until_ns) {
      const KafkaPtr<rd_kafka_message_t> nothing(rd_kafka_consumer_poll(consumer, 100));
      rd_kafka_topic_partition_list_t* list = nullptr;
      EXPECT_EQ(rd_kafka_assignment(consumer, &list), 0);
      const KafkaPtr<rd_kafka_topic_partition_list_t> assigned(list);
      if (assigned->cnt == kPartitions) return;
    }
    ADD_FAILURE() << "nothing is assigned";
  }
  // Opened, and of one mind with the group.
  std::unique_ptr<Sink> sink_of(const std::shared_ptr<kafka::GroupMember>& member,
                                const std::string& id) {
    config_.transactional_id = id + config_.topic;
    config_.source = SharedSource{"judges", config_.topic, group() + "-out", member};
    auto made = sink();
    EXPECT_TRUE(made->look().ok());
    return made;
  }
  std::string group() const { return "judges-" + config_.topic; }
  static std::vector<PendingRow> shared(uint64_t from, uint64_t to, uint32_t partition = 0) {
    std::vector<PendingRow> all = rows(from, to, partition == 0 ? "a" : "b");
    for (PendingRow& row : all) row.row.origin = {"judges", partition, row.seq.value()};
    return all;
  }
  static std::vector<Turn> turns(Sink& sink, const std::vector<PendingRow>& all) {
    std::vector<Turn> found;
    for (const PendingRow& row : all) found.push_back(sink.turn_of(row));
    return found;
  }
  int64_t told(const std::string& group, int partition) {
    const auto asks = client(RD_KAFKA_CONSUMER, {{"group.id", group}});
    const KafkaPtr<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), config_.topic.c_str(), partition);
    EXPECT_EQ(rd_kafka_committed(asks.get(), list.get(), kWaitMs), 0);
    return list->elems[0].offset;
  }
};

TEST_F(KafkaMembersTest, WhatOneHasDeliveredTheOtherFindsThere) {
  const auto member = std::make_shared<kafka::GroupMember>();
  const auto consumer = join(*member);
  const auto first = sink_of(member, "first");
  EXPECT_THAT(turns(*first, shared(1, 2)), ElementsAre(Turn::kNow, Turn::kNow));
  EXPECT_EQ(deliver_all(*first, shared(1, 2)), 2u);
  EXPECT_THAT(turns(*first, shared(2, 3)), ElementsAre(Turn::kArrived, Turn::kNow));
  EXPECT_EQ(told(group(), 0), 7) << "the source's group was told its place";
  EXPECT_LT(told(group(), 1), 0) << "of another partition nothing";
  EXPECT_EQ(told(group() + "-out", 0), 2);
  const auto second = sink_of(member, "second");
  EXPECT_THAT(turns(*second, shared(2, 3)), ElementsAre(Turn::kArrived, Turn::kNow));
  EXPECT_THAT(turns(*second, shared(1, 1, 1)), ElementsAre(Turn::kNow));
  EXPECT_EQ(deliver_all(*second, shared(3, 3)), 1u);
  EXPECT_EQ(read_all().size(), 3u);
}

TEST_F(KafkaMembersTest, WhoeverIsOutOfTheGroupDeliversNothing) {
  const auto member = std::make_shared<kafka::GroupMember>(),
             next = std::make_shared<kafka::GroupMember>();
  auto consumer = join(*member);
  const auto out = sink_of(member, "out");
  EXPECT_EQ(deliver_all(*out, shared(1, 1)), 1u);
  rd_kafka_consumer_close(consumer.get());
  consumer = join(*next);
  const auto in = sink_of(next, "in");
  const auto refused = out->deliver(shared(2, 2));  // it was not told
  EXPECT_EQ(refused.delivered, 0u);
  EXPECT_TRUE(std::holds_alternative<Delivered>(refused.next)) << "which is nobody's failure";
  EXPECT_THAT(turns(*out, shared(2, 2)), ElementsAre(Turn::kAside));
  EXPECT_THAT(turns(*in, shared(1, 2)), ElementsAre(Turn::kArrived, Turn::kNow));
  EXPECT_EQ(deliver_all(*in, shared(2, 3)), 2u);
  real_clock().sleep_us(1'100'000);  // it asks about what is aside once a second
  EXPECT_TRUE(*out->look());
  EXPECT_THAT(turns(*out, shared(2, 4)), ElementsAre(Turn::kArrived, Turn::kArrived, Turn::kAside));
  member->leave();
  EXPECT_TRUE(*out->look());
  EXPECT_THAT(turns(*out, shared(4, 4)), ElementsAre(Turn::kAside));
  EXPECT_EQ(read_all().size(), 3u);
}

// Those of an earlier version, or of a source that the application no longer has.
TEST_F(KafkaMembersTest, RowsWithoutASharedOriginGoAsEver) {
  const auto member = std::make_shared<kafka::GroupMember>();
  const auto consumer = join(*member);
  {
    const auto before = sink_of(member, "first");
    EXPECT_EQ(deliver_all(*before, rows(1, 2, "old")), 2u);
  }
  const auto after = sink_of(member, "first");
  std::vector<PendingRow> mixed = rows(1, 3, "old");
  const auto more = shared(4, 5);
  mixed.insert(mixed.end(), more.begin(), more.end());
  EXPECT_THAT(turns(*after, mixed), testing::Each(Turn::kNow));
  EXPECT_EQ(deliver_all(*after, mixed), 5u);
  EXPECT_EQ(read_all().size(), 5u);
}

TEST(KafkaSink, AMissingBrokerIsTriedAgain) {
  KafkaSinkConfig config;
  config.brokers = "127.0.0.1:1";
  config.topic = "t";
  config.transactional_id = "x";
  const auto sink = std::move(make_kafka_sink(config, real_clock())).value();
  for (int tries = 0; tries < 2; ++tries) {
    const auto opened = sink->open("");
    ASSERT_FALSE(opened.ok());
    EXPECT_THAT(opened.error().to_string(), HasSubstr("t at 127.0.0.1:1"));
  }
  const auto report = sink->deliver(rows(1, 1));
  EXPECT_EQ(report.delivered, 0u);
  EXPECT_TRUE(std::holds_alternative<Retry>(report.next));
}

TEST(KafkaSink, RefusesSettingsThatCannotWork) {
  KafkaSinkConfig config;
  EXPECT_FALSE(make_kafka_sink(config, real_clock()).ok());
  config.brokers = "127.0.0.1:1";
  config.topic = "t";
  config.transactional_id = "x";
  config.client = {{"sasl.pasword", "hunter2"}};
  const auto refused = make_kafka_sink(config, real_clock());
  EXPECT_THAT(refused.error().to_string(), HasSubstr("'sasl.pasword'"));
  EXPECT_THAT(refused.error().to_string(), testing::Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace qw::streams
