// Aim: a few wrong clocks make nobody else's events late, a true leap is followed, and what is
// older than allowed is late all the same.
// Method: streams of healthy events with strangers put in at every place; what the healthy ones get
// is compared with the same stream without strangers.
#include "streams/watermark.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/env.h"

namespace qw::streams {
namespace {

constexpr int64_t kS = 1'000'000;
constexpr int64_t kHour = 3'600 * kS;
constexpr int64_t kYear = 365 * 24 * kHour;
constexpr int64_t kNow = 1'700'000'000 * kS;

// Of `count` events, one a second; `strangers` in a row come before the event `at`.
size_t late_of_healthy(size_t count, size_t at, size_t strangers, int64_t off_us,
                       int64_t allowed_us) {
  Watermark watermark;
  size_t late = 0;
  for (size_t i = 0; i < count; ++i) {
    const int64_t time_us = kNow - kYear * 2 + static_cast<int64_t>(i) * kS;
    if (i == at)
      for (size_t n = 0; n < strangers; ++n)
        watermark.pass(time_us + off_us + static_cast<int64_t>(n) * kHour, kNow, false, allowed_us);
    late += watermark.pass(time_us, kNow, false, allowed_us) == Lateness::kBeyond ? 1 : 0;
  }
  return late;
}

TEST(Watermark, AFewStrangersMakeNobodyLateWhereverTheyAre) {
  for (const int64_t off_us : {kYear, 40 * kHour, 2 * kHour, -kYear})
    for (const size_t strangers : {1u, 3u, 31u})
      for (const size_t at : {0u, 1u, 2u, 31u, 32u, 33u, 50u, 99u})
        for (const int64_t allowed_us : {int64_t{0}, 10 * kS, 120 * kS})
          EXPECT_EQ(late_of_healthy(100, at, strangers, off_us, allowed_us), 0u)
              << off_us << " " << strangers << " at " << at << ", allowed " << allowed_us;
}

TEST(Watermark, WhatLiesBehindTheNewestIsLate) {
  for (const bool live : {false, true}) {
    Watermark watermark;
    const auto pass = [&](int64_t time_us) { return watermark.pass(time_us, kNow, live, 10 * kS); };
    EXPECT_EQ(watermark.value_us(), INT64_MIN);
    EXPECT_EQ(pass(kNow - 100 * kS), Lateness::kNone);
    EXPECT_EQ(pass(kNow - 110 * kS), Lateness::kBehind);
    EXPECT_EQ(pass(kNow - 110 * kS - 1), Lateness::kBeyond);
    EXPECT_EQ(pass(kNow - 100 * kS), Lateness::kNone);
    EXPECT_EQ(pass(kNow - 40 * kS), Lateness::kNone);
    EXPECT_EQ(pass(kNow - 51 * kS), Lateness::kBeyond);
    EXPECT_EQ(watermark.value_us(), kNow - 40 * kS);
  }
}

TEST(Watermark, ASenderAheadOfTheClockMovesItNoFurtherThanNow) {
  Watermark watermark;
  Random random(7);
  for (int64_t i = 0; i < 5'000; ++i) {
    const int64_t now_us = kNow + i * 20'000;
    const bool skewed = random.below(3) == 0;
    const int64_t time_us =
        skewed ? now_us + 50 * kS : now_us - static_cast<int64_t>(random.below(3 * kS));
    const Lateness lateness = watermark.pass(time_us, now_us, true, 3 * kS);
    EXPECT_NE(lateness, Lateness::kBeyond) << i;
    EXPECT_LE(watermark.value_us(), now_us);
  }
}

TEST(Watermark, ATrueLeapIsFollowedOnceEnoughAgree) {
  Watermark watermark;
  int64_t time_us = kNow - kYear;
  for (int i = 0; i < 40; ++i) watermark.pass(time_us += kS, kNow, false, 0);
  const int64_t before_us = watermark.value_us();
  time_us += 8 * kHour;  // a night without events
  const int64_t morning_us = time_us + kS;
  for (uint32_t i = 1; i < Watermark::kAgreeing; ++i) {
    EXPECT_EQ(watermark.pass(time_us += kS, kNow, false, 0), Lateness::kNone);
    EXPECT_EQ(watermark.value_us(), before_us);
  }
  watermark.pass(time_us += kS, kNow, false, 0);
  EXPECT_EQ(watermark.value_us(), morning_us);
  watermark.pass(time_us += kS, kNow, false, 0);
  EXPECT_EQ(watermark.value_us(), time_us);
  EXPECT_EQ(watermark.pass(time_us - kS, kNow, false, 0), Lateness::kBeyond);
}

TEST(Watermark, ALiveLeapToNowIsFollowedAtOnce) {
  Watermark watermark;
  for (int i = 0; i < 40; ++i) watermark.pass(kNow - kHour, kNow - kHour, true, 0);
  watermark.pass(kNow - kS, kNow, true, 0);
  EXPECT_EQ(watermark.value_us(), kNow - kS);
}

TEST(Watermark, SparseEventsAreNeverLateInOrder) {
  Watermark watermark;
  for (int64_t day = 0; day < 400; ++day) {
    const int64_t time_us = kNow - kYear * 2 + day * 24 * kHour;
    EXPECT_EQ(watermark.pass(time_us, kNow, false, 0), Lateness::kNone);
  }
  EXPECT_GT(watermark.value_us(), kNow - kYear * 2 + 330 * 24 * kHour);
}

TEST(Watermark, GoesOnAfterARestartAnywhere) {
  for (const uint64_t seed : {1u, 2u, 3u, 4u}) {
    Random random(seed);
    Watermark whole, parts;
    int64_t now_us = kNow;
    for (int i = 0; i < 2'000; ++i) {
      now_us += static_cast<int64_t>(random.below(2 * kS));
      int64_t time_us = now_us - static_cast<int64_t>(random.below(40 * kS));
      if (random.below(30) == 0) time_us -= kHour;
      if (random.below(200) == 0) now_us += 2 * kHour;
      const bool live = seed % 2 == 0;
      ASSERT_EQ(parts.pass(time_us, now_us, live, 5 * kS),
                whole.pass(time_us, now_us, live, 5 * kS));
      std::string bytes;
      ByteWriter writer(bytes);
      parts.write(writer);
      parts = {};
      ByteReader reader(bytes);
      parts.read(reader);
      ASSERT_TRUE(reader.done());
      ASSERT_EQ(parts, whole);
    }
  }
}

}  // namespace
}  // namespace qw::streams
