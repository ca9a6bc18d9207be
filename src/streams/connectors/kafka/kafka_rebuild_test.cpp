// Aim: a member that takes over a partition remembers what it would if it had read all of it, and
// decides nothing that others decided. Method: the broker named by QUICKWATER_KAFKA; members of one
// group, one after another, with and without places of their own.
#include "kafka_bed.h"

namespace qw::streams::kafka {
namespace {

// A partition that others decided is read again for what is remembered, from where this member last
// had it or as far back as anything is remembered; the group's place stays, nothing is decided
// twice.
TEST_F(KafkaSourceTest, WhatOthersDecidedIsReadAgainAndNotDecided) {
  config_.remember_us = 3'600'000'000;
  const int64_t now_ms = real_clock().wall_us() / 1000;
  produce_numbers(0, 400, now_ms - 4 * 3'600'000);
  produce_numbers(400, 800, now_ms);
  SavedPositions ours;
  {
    Consumer first(config_, ledger_);
    first.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 800; }));
    first.stop();
    ours = first.durable();
  }
  EXPECT_EQ(ledger_.rebuilt_count(), 0u);
  EXPECT_EQ(ledger_.gaps, 0u);
  produce_numbers(800, 1200);
  const int64_t told = group_offset(0);
  {
    Consumer second(config_, ledger_);
    second.durable_every = 1;
    second.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 1200; }));
    second.stop();
  }
  EXPECT_EQ(told, 200);
  EXPECT_EQ(group_offset(0), 300);
  EXPECT_EQ(ledger_.rebuilt_count(), 400u) << "of the last hour";
  EXPECT_EQ(ledger_.gaps, kPartitions) << "once a partition";
  produce_numbers(1200, 1600);
  ledger_.rebuilt.clear();
  {
    Consumer again(config_, ledger_);
    again.start(ours);
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 1600; }));
  }
  EXPECT_EQ(ledger_.rebuilt_count(), 400u) << "since it had them";
  EXPECT_EQ(ledger_.gaps, kPartitions) << "nothing is missing";
  ledger_.rebuilt.clear();
  config_.rebuild_max = 10;
  produce_numbers(1600, 2000);
  {
    Consumer bounded(config_, ledger_);
    bounded.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 2000; }));
  }
  EXPECT_EQ(ledger_.rebuilt_count(), 10u * kPartitions);
  EXPECT_EQ(ledger_.gaps, 2u * kPartitions);
  expect_exactly_once(2000);
}

// Without anything to remember, or with no wish to read it again: the group's place is nobody's to
// take back.
TEST_F(KafkaSourceTest, WhoComesBackTakesTheGroupNowhere) {
  produce_numbers(0, 400);
  SavedPositions ours;
  {
    Consumer first(config_, ledger_);
    first.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 400; }));
    first.stop();
    ours = first.durable();
  }
  produce_numbers(400, 1200);
  {
    Consumer second(config_, ledger_);
    second.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 1200; }));
  }
  ASSERT_EQ(group_offset(0), 300);
  {
    Consumer back(config_, ledger_);
    back.start(ours);
    ASSERT_TRUE(eventually([&] { return back.caught_up.load(); }));
    real_clock().sleep_us(2'500'000);  // longer than its upkeep takes to come
    EXPECT_EQ(group_offset(0), 300);
  }
  EXPECT_EQ(group_offset(0), 300);
  expect_exactly_once(1200);
}

// Retention passed the place of a quiet partition: the gap is known in the commit that moves it.
TEST_F(KafkaSourceTest, AGapIsToldWithThePlaceBehindIt) {
  produce_numbers(0, 400);
  SavedPositions saved;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) saved[partition] = "20";
  remove_before(100);
  Consumer late(config_, ledger_);
  late.durable_every = 1;
  late.start(saved);
  ASSERT_TRUE(eventually([&] { return ledger_.gap_count() == kPartitions; }));
  EXPECT_EQ(ledger_.count(), 0u);
}

// One that ends in the middle of it, while the group's place stays.
TEST_F(KafkaSourceTest, ARebuildThatWasInterruptedGoesOn) {
  config_.remember_us = 3'600'000'000;
  produce_numbers(0, 20'000);
  {
    Consumer first(config_, ledger_);
    first.start();
    ASSERT_TRUE(eventually([&] { return ledger_.count() == 20'000; }));
  }
  SavedPositions half;
  {
    Consumer second(config_, ledger_);
    second.durable_every = 1;
    second.start();
    ASSERT_TRUE(eventually([&] { return ledger_.rebuilt_count() > 1'000; }));
    second.stop();
    half = second.durable();
  }
  for (int partition = 0; partition < kPartitions; ++partition)
    EXPECT_EQ(group_offset(partition), 5'000);
  produce_numbers(20'000, 20'400);
  Consumer third(config_, ledger_);
  third.start(half);
  ASSERT_TRUE(eventually([&] { return ledger_.count() == 20'400; }));
  third.stop();
  EXPECT_EQ(ledger_.rebuilt_count(), 20'000u);
  for (const auto& [place, times] : ledger_.rebuilt) EXPECT_EQ(times, 1);
  EXPECT_EQ(ledger_.gaps, 0u);
  expect_exactly_once(20'400);
}

}  // namespace
}  // namespace qw::streams::kafka
