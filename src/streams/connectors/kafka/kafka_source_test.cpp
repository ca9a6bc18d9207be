// Aim: from a real broker every message counts exactly once, through restarts and through a
// rebalance in the middle, and a broker that is away harms nothing. Method: the broker named by
// QUICKWATER_KAFKA; messages with known values; two consumers of one group whose hosts make rows
// durable late, so that what a rebalance does not flush would be read twice.
#include "kafka_bed.h"
#include "streams/connectors/kafka/member.h"

namespace qw::streams::kafka {
namespace {

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

// Where sinks write with the source the next owner of a partition decides again what they have not
// delivered: durable is not enough.
TEST_F(KafkaSourceTest, TheGroupIsToldNoMoreThanIsDelivered) {
  const auto member = config_.member = std::make_shared<GroupMember>();
  produce_numbers(0, 400);
  Consumer consumer(config_, ledger_);
  consumer.durable_every = 1;
  consumer.start();
  ASSERT_TRUE(eventually([&] { return ledger_.count() == 400; }));
  const GroupMember::Turn turn = member->turn();
  ASSERT_EQ(turn.ours.size(), size_t{kPartitions});
  EXPECT_EQ(turn.ours.at(0).offset, 0) << "where another member would begin";
  EXPECT_FALSE(turn.identity.empty());
  const int64_t rounds_ns = real_clock().monotonic_ns() + 2'500'000'000;  // it tells once a second
  ASSERT_TRUE(eventually([&] { return real_clock().monotonic_ns() > rounds_ns; }));
  EXPECT_LT(group_offset(0), 0);
  consumer.delivers = true;
  ASSERT_TRUE(eventually([&] { return group_offset(0) == 100; }));
  EXPECT_EQ(member->turn().ours.at(0).offset, 100);
  EXPECT_EQ(member->number(), turn.number) << "the same partitions";
  consumer.stop();
  EXPECT_TRUE(member->turn().ours.empty());
  EXPECT_TRUE(member->turn().identity.empty());
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
