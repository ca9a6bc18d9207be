// A topic of a real broker, consumers of it whose hosts make rows durable late, and what came.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "streams/connectors/kafka/place.h"
#include "streams/connectors/kafka/source.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
using internal::KafkaPtr;
using testing::HasSubstr;

inline constexpr int kPartitions = 4;

inline std::shared_ptr<const schema::Schema> rows() {
  static const auto schema = std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{schema::Field{"v", schema::kInt64, false}});
  return schema;
}

// Rows as (partition, position) -> how often they came, over all consumers of a test.
struct Ledger {
  std::mutex mutex;
  std::map<std::pair<uint32_t, uint64_t>, int> seen;
  std::set<int64_t> values;
  std::map<std::pair<uint32_t, uint64_t>, int> rebuilt;  // that others decided: not in `seen`
  size_t gaps = 0;                                       // batches behind records never read
  std::vector<std::string> rejected;
  size_t gap_count() {
    std::lock_guard lock(mutex);
    return gaps;
  }
  size_t rebuilt_count() {
    std::lock_guard lock(mutex);
    return rebuilt.size();
  }
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
  std::optional<std::string> delivered(uint32_t partition) override {
    const auto found = saved_.find(partition);
    return delivers && found != saved_.end() ? std::optional(found->second) : std::nullopt;
  }

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
  std::atomic<bool> delivers{
      false};  // all that is durable; asked where sinks write with the source
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
      ledger_.gaps += batch->gap ? 1 : 0;
      for (size_t i = 0; i < batch->rows.rows(); ++i) {
        const std::pair place(batch->partition, batch->positions[i]);
        ++(place.second <= batch->decided_to ? ledger_.rebuilt : ledger_.seen)[place];
        if (place.second > batch->decided_to)
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

// Owns a topic of kPartitions and its producer; skips where no broker is named. One thread.
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
  void produce(int32_t partition, const std::string& text, int64_t time_ms = 0) {
    const auto code = rd_kafka_producev(
        producer_.get(), RD_KAFKA_V_TOPIC(config_.topic.c_str()), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(time_ms),
        RD_KAFKA_V_VALUE(const_cast<char*>(text.data()), text.size()), RD_KAFKA_V_END);
    ASSERT_EQ(code, RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void produce_numbers(int64_t from, int64_t to, int64_t time_ms = 0) {
    for (int64_t v = from; v < to; ++v)
      produce(static_cast<int32_t>(v % kPartitions), "{\"v\":" + std::to_string(v) + "}", time_ms);
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

}  // namespace qw::streams::kafka
