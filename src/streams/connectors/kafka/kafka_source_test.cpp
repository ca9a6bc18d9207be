// Aim: from a real broker every message counts exactly once, through restarts and through a
// rebalance in the middle, and a broker that is away harms nothing. Method: the broker named by
// QUICKWATER_KAFKA; messages with known values; two consumers of one group whose hosts make rows
// durable late, so that what a rebalance does not flush would be read twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "streams/connectors/kafka/place.h"
#include "streams/connectors/kafka/source.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
namespace {

using internal::KafkaPtr;
using schema::Field;
using testing::HasSubstr;

constexpr int kPartitions = 4;

std::shared_ptr<const schema::Schema> rows() {
  static const auto schema =
      std::make_shared<const schema::Schema>(std::vector<Field>{Field{"v", schema::kInt64, false}});
  return schema;
}

// Rows as (partition, position) -> how often they came, over all consumers of a test.
struct Ledger {
  std::mutex mutex;
  std::map<std::pair<uint32_t, uint64_t>, int> seen;
  std::set<int64_t> values;
  std::vector<std::string> rejected;
  size_t count() {
    std::lock_guard lock(mutex);
    return seen.size();
  }
};

// One consumer with its pipeline: durable only at each fifth batch, or when asked to flush.
class Consumer final : public SourceHost {
 public:
  Consumer(const Config& config, Ledger& ledger) : ledger_(ledger) {
    DecodeOptions decode;
    decode.schema = rows();
    source_ = std::move(make_kafka_source(config, decode, real_clock())).value();
  }
  ~Consumer() override { stop(); }

  Result<void> flush(std::span<const uint32_t>, int64_t) override {
    ++flushes;
    if (!broken_flush) make_durable();
    return {};
  }
  void lost(std::span<const uint32_t>) override { ++losses; }

  void start(const SavedPositions& saved = {}) {
    saved_ = saved;
    ASSERT_TRUE(source_->open(saved, *this).ok());
    thread_ = std::thread([this] {
      while (!stopping_) step();
      source_->close();
    });
  }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  SourceStatus status() const { return source_->status(); }
  SavedPositions durable() const { return saved_; }

  std::atomic<int> flushes{0}, losses{0};
  std::atomic<bool> full{false};
  static constexpr size_t kNotYet = SIZE_MAX;
  std::atomic<size_t> caught_up_at{kNotYet};  // records handed out when the source first said so
  std::atomic<bool> caught_up{false};
  bool broken_flush = false;
  int durable_every = 5;  // batches

 private:
  void step() {
    if (full) {
      source_->serve();
      real_clock().sleep_us(50'000);
      return;
    }
    auto batch = source_->poll(50'000);
    ASSERT_TRUE(batch.ok()) << batch.error().to_string();
    handed_out_ += batch->rows.rows() + batch->rejected.size();
    caught_up = source_->caught_up();
    if (caught_up_at == kNotYet && caught_up) caught_up_at = handed_out_;
    if (batch->empty()) return;
    {
      std::lock_guard lock(ledger_.mutex);
      for (size_t i = 0; i < batch->rows.rows(); ++i) {
        ++ledger_.seen[{batch->partition, batch->positions[i]}];
        ledger_.values.insert(batch->rows.column(0).int_at(i));
      }
      for (const auto& rejected : batch->rejected)
        ledger_.rejected.push_back(rejected.position + " " + rejected.reason);
    }
    not_durable_[batch->partition] = batch->resume;
    if (++batches_ % durable_every == 0) make_durable();
  }
  void make_durable() {
    for (const auto& [partition, resume] : not_durable_) {
      saved_[partition] = resume;
      source_->committed(partition, resume);
    }
    not_durable_.clear();
  }

  Ledger& ledger_;
  std::unique_ptr<Source> source_;
  SavedPositions saved_;
  std::map<uint32_t, std::string> not_durable_;
  int batches_ = 0;
  size_t handed_out_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

class KafkaSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("QUICKWATER_KAFKA");
    if (brokers == nullptr) GTEST_SKIP() << "QUICKWATER_KAFKA=host:port is not set";
    config_.brokers = brokers;
    config_.topic = "source-" + std::to_string(entropy_seed());
    config_.group = config_.topic;
    config_.session_timeout_ms = 6'000;
    connect();
    create_topic();
  }

  void connect() {
    auto conf =
        internal::kafka_conf({{"bootstrap.servers", config_.brokers}, {"linger.ms", "5"}}, {});
    producer_ = std::move(internal::kafka_client(RD_KAFKA_PRODUCER, std::move(*conf))).value();
  }
  // Asks for a change of the cluster and waits for the answer: whether each part of it was done.
  template <class Ask>
  bool administer(const Ask& ask) {
    const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(producer_.get()));
    ask(queue.get());
    const KafkaPtr<rd_kafka_event_t> done(rd_kafka_queue_poll(queue.get(), 30'000));
    if (!done || rd_kafka_event_error(done.get()) != 0) return false;
    size_t count = 0;
    const auto* made = rd_kafka_event_CreateTopics_result(done.get());
    const auto* topics =
        made == nullptr ? nullptr : rd_kafka_CreateTopics_result_topics(made, &count);
    return topics == nullptr || rd_kafka_topic_result_error(topics[0]) == 0;
  }
  void create_topic() {
    char detail[256];
    rd_kafka_NewTopic_t* topic =
        rd_kafka_NewTopic_new(config_.topic.c_str(), kPartitions, 1, detail, sizeof detail);
    // One that was deleted just now stays for a moment.
    EXPECT_TRUE(eventually([&] {
      return administer([&](rd_kafka_queue_t* queue) {
        rd_kafka_CreateTopics(producer_.get(), &topic, 1, nullptr, queue);
      });
    }));
    rd_kafka_NewTopic_destroy(topic);
    connect();  // what the last one knows of the topic may be of another one
  }
  void remove_topic() {
    rd_kafka_DeleteTopic_t* topic = rd_kafka_DeleteTopic_new(config_.topic.c_str());
    EXPECT_TRUE(administer([&](rd_kafka_queue_t* queue) {
      rd_kafka_DeleteTopics(producer_.get(), &topic, 1, nullptr, queue);
    }));
    rd_kafka_DeleteTopic_destroy(topic);
  }
  void add_partitions(size_t total) {
    char detail[256];
    rd_kafka_NewPartitions_t* more =
        rd_kafka_NewPartitions_new(config_.topic.c_str(), total, detail, sizeof detail);
    EXPECT_TRUE(administer([&](rd_kafka_queue_t* queue) {
      rd_kafka_CreatePartitions(producer_.get(), &more, 1, nullptr, queue);
    }));
    rd_kafka_NewPartitions_destroy(more);
    connect();
  }
  // As retention does: everything below `offset` is gone.
  void remove_before(int64_t offset) {
    const KafkaPtr<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(kPartitions));
    for (int partition = 0; partition < kPartitions; ++partition)
      rd_kafka_topic_partition_list_add(list.get(), config_.topic.c_str(), partition)->offset =
          offset;
    rd_kafka_DeleteRecords_t* records = rd_kafka_DeleteRecords_new(list.get());
    EXPECT_TRUE(administer([&](rd_kafka_queue_t* queue) {
      rd_kafka_DeleteRecords(producer_.get(), &records, 1, nullptr, queue);
    }));
    rd_kafka_DeleteRecords_destroy(records);
  }
  // Numbers in one transaction, which is committed or aborted.
  void transact(int64_t from, int64_t to, bool commit) {
    auto conf = internal::kafka_conf(
        {{"bootstrap.servers", config_.brokers}, {"transactional.id", "writer-" + config_.topic}},
        {});
    auto client = internal::kafka_client(RD_KAFKA_PRODUCER, std::move(*conf));
    std::swap(producer_, *client);
    EXPECT_EQ(rd_kafka_init_transactions(producer_.get(), 30'000), nullptr);
    EXPECT_EQ(rd_kafka_begin_transaction(producer_.get()), nullptr);
    produce_numbers(from, to);
    EXPECT_EQ(commit ? rd_kafka_commit_transaction(producer_.get(), 30'000)
                     : rd_kafka_abort_transaction(producer_.get(), 30'000),
              nullptr);
    std::swap(producer_, *client);
  }
  // The group's offset of a partition, or a negative number.
  int64_t group_offset(int partition) {
    auto conf = internal::kafka_conf(
        {{"bootstrap.servers", config_.brokers}, {"group.id", config_.group}}, {});
    const auto client = std::move(internal::kafka_client(RD_KAFKA_CONSUMER, std::move(*conf)));
    const KafkaPtr<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), config_.topic.c_str(), partition);
    EXPECT_EQ(rd_kafka_committed(client->get(), list.get(), 30'000), 0);
    return list->elems[0].offset;
  }
  // How many of the numbers [from, to) have come.
  int64_t arrived(int64_t from, int64_t to) {
    const std::lock_guard lock(ledger_.mutex);
    return std::distance(ledger_.values.lower_bound(from), ledger_.values.lower_bound(to));
  }
  static int64_t lag_of(const Consumer& consumer) {
    const SourceStatus status = consumer.status();
    if (status.lag_records.size() != kPartitions) return -1;
    int64_t lag = 0;
    for (const auto& [partition, records] : status.lag_records) lag += records;
    return lag;
  }
  void produce(int32_t partition, const std::string& text) {
    const auto code = rd_kafka_producev(
        producer_.get(), RD_KAFKA_V_TOPIC(config_.topic.c_str()), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(const_cast<char*>(text.data()), text.size()), RD_KAFKA_V_END);
    ASSERT_EQ(code, RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void produce_numbers(int64_t from, int64_t to) {
    for (int64_t v = from; v < to; ++v)
      produce(static_cast<int32_t>(v % kPartitions), "{\"v\":" + std::to_string(v) + "}");
    ASSERT_EQ(rd_kafka_flush(producer_.get(), 30'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  // Waits for a condition, at most 60 s.
  template <class Condition>
  static bool eventually(Condition condition) {
    const int64_t until_ns = real_clock().monotonic_ns() + 60'000'000'000;
    while (!condition()) {
      if (real_clock().monotonic_ns() > until_ns) return false;
      real_clock().sleep_us(20'000);
    }
    return true;
  }
  void expect_exactly_once(int64_t count) {
    std::lock_guard lock(ledger_.mutex);
    EXPECT_EQ(ledger_.seen.size(), static_cast<size_t>(count));
    EXPECT_EQ(ledger_.values.size(), static_cast<size_t>(count));
    size_t repeated = 0;
    for (const auto& [place, times] : ledger_.seen) repeated += times > 1 ? 1 : 0;
    EXPECT_EQ(repeated, 0u);
  }

  Config config_;
  Ledger ledger_;
  KafkaPtr<rd_kafka_t> producer_;
};

TEST_F(KafkaSourceTest, BeginsBehindTheGreaterOfOurPlaceAndTheGroups) {
  produce_numbers(0, 400);
  produce(0, "broken");
  SavedPositions saved;
  {
    Consumer first(config_, ledger_);
    first.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 400; }));
    ASSERT_TRUE(eventually([&] {
      std::lock_guard lock(ledger_.mutex);
      return ledger_.rejected.size() == 1;
    }));
    ASSERT_TRUE(eventually([&] { return first.caught_up_at != Consumer::kNotYet; }));
    EXPECT_EQ(first.caught_up_at, 401u) << "not before all that was there was handed out";
    first.stop();
    saved = first.durable();
    EXPECT_GE(first.flushes, 1);
    EXPECT_EQ(first.losses, 0);
  }
  EXPECT_THAT(ledger_.rejected[0], HasSubstr(config_.topic + "[0]@100 not a JSON object"));
  EXPECT_EQ(parse_place(saved.at(0))->offset, 101);
  produce_numbers(400, 800);
  {
    Consumer second(config_, ledger_);  // no place of its own: the group's
    second.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 800; }));
  }
  produce_numbers(800, 1200);
  config_.group += "-new";  // a group without offsets: our own places
  for (auto& [partition, resume] : saved) resume = partition == 0 ? "201" : "200";
  Consumer third(config_, ledger_);
  third.start(saved);
  ASSERT_TRUE(eventually([&] { return ledger_.count() == 1200; }));
  third.stop();
  expect_exactly_once(1200);
}

TEST_F(KafkaSourceTest, ARebalanceInTheMiddleLosesAndRepeatsNothing) {
  produce_numbers(0, 2000);
  Consumer first(config_, ledger_);
  first.start();
  ASSERT_TRUE(eventually([&] { return ledger_.count() >= 100; }));
  auto second = std::make_unique<Consumer>(config_, ledger_);
  second->start();
  int64_t sent = 2000;
  ASSERT_TRUE(eventually([&] {
    produce_numbers(sent, sent + 50);
    sent += 50;
    return second->status().rows > 200;
  }));
  EXPECT_GE(first.flushes, 1) << "partitions moved while events flowed";
  second.reset();  // and back again
  produce_numbers(sent, sent + 400);
  sent += 400;
  ASSERT_TRUE(eventually([&] { return ledger_.count() == static_cast<size_t>(sent); }));
  first.stop();
  expect_exactly_once(sent);
  EXPECT_EQ(first.losses, 0);
}

// That the tests here would see a flush that does nothing: what is not durable is read again.
TEST_F(KafkaSourceTest, AFlushThatDoesNothingIsSeen) {
  produce_numbers(0, 100);
  {
    Consumer first(config_, ledger_);
    first.broken_flush = true;
    first.durable_every = 1'000'000;
    first.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 100; }));
  }
  Consumer second(config_, ledger_);
  second.start();
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(ledger_.mutex);
    return ledger_.seen.begin()->second == 2;
  })) << "without a flush everything is read twice";
}

TEST_F(KafkaSourceTest, AFullPipelineKeepsItsPlaceInTheGroup) {
  produce_numbers(0, 200);
  Consumer first(config_, ledger_);
  first.start();
  ASSERT_TRUE(eventually([&] { return ledger_.count() == 200; }));
  first.full = true;
  Consumer second(config_, ledger_);
  second.start();
  // A full consumer still answers: the second gets its share without waiting for it.
  ASSERT_TRUE(eventually([&] { return second.status().detail.starts_with("2 partitions"); }));
  produce_numbers(200, 600);
  first.full = false;
  ASSERT_TRUE(eventually([&] { return ledger_.count() == 600; }));
  first.stop();
  second.stop();
  expect_exactly_once(600);
}

// A stop must take the messages that come while it says goodbye, give all partitions back, and tell
// the group what is durable: another member begins there at once.
TEST_F(KafkaSourceTest, AStopUnderTrafficTellsTheGroupAndLeavesIt) {
  std::atomic<bool> ended{false};
  std::atomic<int64_t> sent{0};
  std::thread writer([&] {
    while (!ended) {
      produce_numbers(sent, sent + 40);
      sent = sent + 40;
      real_clock().sleep_us(5'000);
    }
  });
  for (int turn = 1; turn <= 6; ++turn) {
    Consumer consumer(config_, ledger_);  // no place of its own: only the group's
    consumer.start();
    const size_t before = ledger_.count();
    ASSERT_TRUE(eventually([&] { return ledger_.count() > before + 100; }));
    consumer.stop();
    for (const auto& [partition, resume] : consumer.durable())
      EXPECT_EQ(group_offset(static_cast<int>(partition)), parse_place(resume)->offset);
  }
  ended = true;
  writer.join();
  Consumer last(config_, ledger_);
  last.start();
  ASSERT_TRUE(eventually([&] { return arrived(0, sent) == sent; }));
  last.stop();
  expect_exactly_once(sent);
}

// The ends of transactions, and what was aborted, take offsets that no reader ever gets.
TEST_F(KafkaSourceTest, ATransactionalTopicIsReadToItsEnd) {
  transact(0, 40, true);
  transact(40, 60, false);
  transact(60, 64, false);
  SavedPositions saved;
  {
    Consumer consumer(config_, ledger_);
    consumer.start();
    ASSERT_TRUE(eventually([&] { return consumer.caught_up && lag_of(consumer) == 0; }));
    EXPECT_EQ(arrived(0, 64), 40);
    // And again after more of it, read in a steady flow.
    for (int64_t from = 100; from < 180; from += 20) transact(from, from + 20, true);
    ASSERT_TRUE(eventually(
        [&] { return arrived(100, 180) == 80 && consumer.caught_up && lag_of(consumer) == 0; }));
    consumer.stop();
    saved = consumer.durable();
  }
  // Nothing comes after a start, and the lag is known all the same.
  Consumer again(config_, ledger_);
  again.start(saved);
  ASSERT_TRUE(eventually([&] { return again.caught_up && lag_of(again) == 0; }));
  again.stop();
  EXPECT_TRUE(again.status().lag_records.empty()) << "its partitions are nobody's now";
  EXPECT_TRUE(again.status().owned->empty());
  EXPECT_EQ(again.status().places_lost + again.status().missed, 0u);
  expect_exactly_once(120);
}

// The numbers of a topic that was made anew are new, whether there are fewer or more than before.
TEST_F(KafkaSourceTest, ATopicMadeAnewIsReadFromItsBeginning) {
  int64_t from = 0;
  SavedPositions saved;
  for (const int64_t count : {40, 20, 80, 400}) {
    if (from > 0) {
      remove_topic();
      create_topic();
    }
    produce_numbers(from, from + count);
    Consumer consumer(config_, ledger_);
    consumer.start(saved);
    EXPECT_TRUE(eventually([&] { return arrived(from, from + count) == count; })) << count;
    EXPECT_TRUE(eventually([&] { return consumer.caught_up.load(); }));
    consumer.stop();
    EXPECT_EQ(consumer.status().places_lost, from > 0 ? kPartitions : 0u) << count;
    saved = consumer.durable();
    from += count;
  }
  expect_exactly_once(540);  // positions never come twice either
  // The same topic, read on: nothing is taken for new.
  produce_numbers(from, from + 40);
  Consumer last(config_, ledger_);
  last.start(saved);
  EXPECT_TRUE(eventually([&] { return arrived(from, from + 40) == 40; }));
  last.stop();
  EXPECT_EQ(last.status().places_lost, 0u);
  expect_exactly_once(580);
}

TEST_F(KafkaSourceTest, ATopicMadeAnewWhileItIsReadIsReadFromItsBeginning) {
  produce_numbers(0, 40);
  Consumer consumer(config_, ledger_);
  consumer.start();
  ASSERT_TRUE(eventually([&] { return arrived(0, 40) == 40; }));
  remove_topic();
  create_topic();
  produce_numbers(40, 60);
  EXPECT_TRUE(eventually([&] { return arrived(40, 60) == 20; }));
  EXPECT_TRUE(eventually([&] { return consumer.caught_up.load(); }));
  consumer.stop();
  EXPECT_EQ(consumer.status().places_lost, static_cast<uint64_t>(kPartitions));
  expect_exactly_once(60);
}

TEST_F(KafkaSourceTest, AStopIsQuickWhenTheTopicIsGone) {
  produce_numbers(0, 40);
  Consumer consumer(config_, ledger_);
  consumer.start();
  ASSERT_TRUE(eventually([&] { return arrived(0, 40) == 40; }));
  remove_topic();
  ASSERT_TRUE(eventually([&] { return consumer.status().trouble.has_value(); }));
  EXPECT_THAT(consumer.status().trouble->to_string(), HasSubstr("create the topic"));
  consumer.stop();  // the suite's own limit stands behind this
  EXPECT_EQ(consumer.status().state, SourceState::kClosed);
}

TEST_F(KafkaSourceTest, WhatRetentionRemovedIsSaidAndTheRestIsRead) {
  for (const Start start : {Start::kEarliest, Start::kLatest}) {
    config_.start = start;
    config_.topic += "x";
    config_.group = config_.topic;
    create_topic();
    const int64_t base = start == Start::kEarliest ? 0 : 10'000;
    SavedPositions saved;
    {
      Consumer first(config_, ledger_);
      first.start();
      ASSERT_TRUE(eventually([&] { return first.caught_up.load(); }));
      produce_numbers(base, base + 40);
      ASSERT_TRUE(eventually([&] { return arrived(base, base + 40) == 40; }));
      first.stop();
      saved = first.durable();
    }
    produce_numbers(base + 40, base + 240);
    remove_before(50);  // of 60 in each partition, 10 read
    Consumer second(config_, ledger_);
    second.start(saved);
    EXPECT_TRUE(eventually([&] { return arrived(base + 200, base + 240) == 40; }));
    EXPECT_EQ(arrived(base + 40, base + 200), 0);
    EXPECT_EQ(second.status().missed, 160u);
    EXPECT_THAT(second.status().last_gap, HasSubstr("40 records were removed"));
    second.stop();
  }
}

// The end of the topic is its beginning once: for whoever comes first, of all partitions.
TEST_F(KafkaSourceTest, TheEndIsFixedOnce) {
  config_.start = Start::kLatest;
  produce_numbers(0, 40);
  SavedPositions saved;
  {
    Consumer first(config_, ledger_);
    first.start();
    ASSERT_TRUE(eventually([&] { return first.caught_up.load(); }));
    produce(0, "{\"v\":100}");  // the other partitions have nothing new
    ASSERT_TRUE(eventually([&] { return arrived(100, 101) == 1; }));
    first.stop();
    saved = first.durable();
  }
  EXPECT_EQ(saved.size(), static_cast<size_t>(kPartitions)) << "a place that nothing was read at";
  produce_numbers(1'000, 1'040);
  {
    Consumer second(config_, ledger_);  // a new data folder: the group knows
    second.start();
    ASSERT_TRUE(eventually([&] { return arrived(1'000, 1'040) == 40; }));
    second.stop();
  }
  add_partitions(kPartitions + 1);
  produce(kPartitions, "{\"v\":2000}");
  ASSERT_EQ(rd_kafka_flush(producer_.get(), 30'000), 0);
  Consumer third(config_, ledger_);
  third.start(saved);
  ASSERT_TRUE(eventually([&] { return arrived(2'000, 2'001) == 1; }));
  third.stop();
  EXPECT_EQ(arrived(0, 40), 0);
}

TEST(KafkaSource, AMissingBrokerIsAStatusNotAnError) {
  Config config;
  config.brokers = "127.0.0.1:1";
  config.topic = "t";
  config.group = "g";
  Ledger ledger;
  Consumer consumer(config, ledger);
  consumer.start();
  const int64_t until_ns = real_clock().monotonic_ns() + 30'000'000'000;
  while (!consumer.status().trouble && real_clock().monotonic_ns() < until_ns)
    real_clock().sleep_us(20'000);
  const SourceStatus status = consumer.status();
  EXPECT_EQ(status.state, SourceState::kWaiting);
  ASSERT_TRUE(status.trouble.has_value());
  EXPECT_EQ(status.trouble->code, ErrorCode::kUnavailable);
  EXPECT_GT(status.retry_at_us, 0);
}

TEST(KafkaSource, RefusesSettingsWithoutRepeatingTheirValues) {
  Config config;
  config.brokers = "127.0.0.1:1";
  config.topic = "t";
  config.group = "g";
  config.client = {{"sasl.pasword", "hunter2"}};
  DecodeOptions decode;
  decode.schema = rows();
  const auto refused = make_kafka_source(config, decode, real_clock());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().to_string(), HasSubstr("'sasl.pasword'"));
  EXPECT_THAT(refused.error().to_string(), testing::Not(HasSubstr("hunter2")));
  config.client.clear();
  EXPECT_TRUE(make_kafka_source(config, decode, real_clock()).ok());
  config.group = "";
  EXPECT_FALSE(make_kafka_source(config, decode, real_clock()).ok());
}

}  // namespace
}  // namespace qw::streams::kafka
