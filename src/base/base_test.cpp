// Aim: the primitives that every part leans on keep their stated limits.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "base/bounded_queue.h"
#include "base/bytes.h"
#include "base/env.h"
#include "base/metrics.h"
#include "base/nice.h"
#include "base/time_text.h"

namespace qw {
namespace {

using std::chrono::microseconds;

TEST(BoundedQueue, RefusesTheItemPastItsLimit) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_FALSE(queue.push_within(3, microseconds(1)));
  EXPECT_EQ(queue.pop_within(microseconds(0)), 1);
  EXPECT_TRUE(queue.try_push(3));
}

TEST(BoundedQueue, GivesOutWhatItHoldsAfterClosing) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  queue.close();
  EXPECT_FALSE(queue.try_push(2));
  EXPECT_EQ(queue.pop_within(microseconds(0)), 1);
  EXPECT_EQ(queue.pop_within(microseconds(1'000'000)), std::nullopt);
}

TEST(BoundedQueue, WakesAWaitingProducer) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.try_push(1));
  std::jthread producer([&] { EXPECT_TRUE(queue.push_within(2, microseconds(10'000'000))); });
  EXPECT_EQ(queue.pop_within(microseconds(0)), 1);
  EXPECT_EQ(queue.pop_within(microseconds(10'000'000)), 2);
}

TEST(Bytes, NumbersAndTextsComeBack) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.varint(0);
  writer.varint(300);
  writer.varint(~0ull);
  writer.text("héllo");
  writer.f64(-0.0);
  writer.i64(-5);
  ByteReader reader(bytes);
  EXPECT_EQ(reader.varint(), 0u);
  EXPECT_EQ(reader.varint(), 300u);
  EXPECT_EQ(reader.varint(), ~0ull);
  EXPECT_EQ(reader.text(), "héllo");
  EXPECT_EQ(std::signbit(reader.f64()), true);
  EXPECT_EQ(reader.i64(), -5);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_FALSE(reader.ok());
}

TEST(Metrics, QuantilesLieWithinOneBucket) {
  LatencyHistogram histogram;
  for (int us = 1; us <= 1000; ++us) histogram.record_ns(us * 1000);
  EXPECT_EQ(histogram.count(), 1000u);
  EXPECT_GE(histogram.quantile_seconds(0.5), 500e-6);
  EXPECT_LE(histogram.quantile_seconds(0.5), 500e-6 * 1.0906);  // one bucket: 2^(1/8)
  EXPECT_GE(histogram.quantile_seconds(0.99), 990e-6);
  EXPECT_EQ(histogram.count_at_or_below_us(1024), 1000u);
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  MetricRegistry registry;
  registry.counter("events_total", "Events.", {{"source", "a"}}).add(2);
  registry.counter("events_total", "Events.", {{"source", "a"}}).add(3);
  registry.counter("events_total", "Events.", {{"source", "b"}}).add(1);
  const auto families = registry.families();
  ASSERT_EQ(families.size(), 1u);
  ASSERT_EQ(families[0].samples.size(), 2u);
  EXPECT_EQ(families[0].samples[0].counter->value(), 5u);
}

TEST(MetricsDeathTest, ANameWithoutAUnitIsRefused) {
  MetricRegistry registry;
  EXPECT_DEATH(registry.counter("events", "Events."), "has_unit");
}

// What the scheduler gives the calling thread: sched_attr of sched_getattr(2), whose header cannot
// be included together with <sched.h>.
struct Given {
  uint32_t size = 0, policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t slice_ns = 0, deadline_ns = 0, period_ns = 0;
};
Given given() {
  Given attributes;
  EXPECT_EQ(syscall(SYS_sched_getattr, gettid(), &attributes, sizeof attributes, 0), 0);
  return attributes;
}

TEST(Nice, AThreadAsksForItselfAlone) {
  const Given before = given();
  Given nice, prompt;
  std::jthread([&] { be_nice(), nice = given(); }).join();
  std::jthread([&] { be_prompt(), prompt = given(); }).join();
  EXPECT_EQ(nice.nice, 19);
  EXPECT_EQ(prompt.nice, before.nice);
  EXPECT_EQ(given().nice, before.nice);
  EXPECT_EQ(given().slice_ns, before.slice_ns);
  if (before.slice_ns == 0) GTEST_SKIP() << "this Linux has no slice of a thread's own";
  EXPECT_EQ(prompt.slice_ns, 100'000u);
}

TEST(Random, TheSameSeedGivesTheSameNumbers) {
  Random a(7);
  Random b(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next_u64(), b.next_u64());
}

TEST(TimeText, IsInUtcAlsoBefore1970) {
  EXPECT_EQ(format_time(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_time(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_time(951'827'696'789'012), "2000-02-29T12:34:56.789012Z");
}

}  // namespace
}  // namespace qw
