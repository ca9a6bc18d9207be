// Aim: retention removes what is old or too much, oldest first, and no clock that was ever wrong
// makes it remove anything else. Method: segments rolled once an hour in the order of their
// records; then every way in which a clock may have been wrong when they were written, or may be
// now.
#include "app/runtime/retention.h"

#include <gtest/gtest.h>

namespace qw::app {
namespace {

using store::Log;
using store::Segment;

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kYearUs = 365 * 24 * kHourUs;
constexpr int64_t kNowUs = 1'700'000'000'000'000;

// `count` segments of a log, one an hour, the newest just now; 100 bytes each.
std::vector<Segment> hourly(Log log, int64_t count) {
  std::vector<Segment> all;
  for (int64_t n = 0; n < count; ++n) {
    const auto from = static_cast<uint64_t>(1 + n * 10);
    Segment segment{log, PartitionId{1}, Seq{from}, Seq{from + 10}, 10, 100};
    segment.rolled_us = kNowUs - (count - 1 - n) * kHourUs;
    all.push_back(segment);
  }
  return all;
}

RetentionSettings keep(int64_t age_us, int64_t bytes) {
  const Retention each{age_us, bytes};
  return {each, each, each, each};
}

std::vector<uint64_t> froms(const std::vector<Segment>& segments) {
  std::vector<uint64_t> all;
  for (const Segment& segment : segments) all.push_back(segment.from.value());
  return all;
}

TEST(Retention, RemovesTheOldAndWhatIsTooMuchOldestFirst) {
  for (const Log log : store::kLogs) {
    EXPECT_EQ(froms(retained(hourly(log, 5), keep(2 * kHourUs, 1000), kNowUs, true).gone),
              (std::vector<uint64_t>{1, 11}));
    EXPECT_EQ(froms(retained(hourly(log, 5), keep(kYearUs, 250), kNowUs, true).gone),
              (std::vector<uint64_t>{1, 11, 21}));
  }
}

TEST(Retention, AClockThatIsNotBelievedMakesNothingOld) {
  for (const Log log : store::kLogs)
    for (const int64_t off_us : {kYearUs, -kYearUs}) {
      const auto now = retained(hourly(log, 5), keep(2 * kHourUs, 1000), kNowUs + off_us, false);
      EXPECT_TRUE(now.gone.empty());
      const auto full = retained(hourly(log, 5), keep(2 * kHourUs, 250), kNowUs + off_us, false);
      EXPECT_EQ(froms(full.gone), (std::vector<uint64_t>{1, 11, 21})) << "the disk is not endless";
    }
}

TEST(Retention, WhatWasWrittenUnderAWrongClockIsNeitherOldNorFirstToGo) {
  for (const int64_t off_us : {kYearUs, -kYearUs, -kNowUs})
    for (size_t wrong = 0; wrong < 5; ++wrong) {
      auto segments = hourly(Log::kEvents, 5);
      segments[wrong].rolled_us += off_us;
      segments[wrong].dated = false;
      const auto aged = retained(segments, keep(10 * kHourUs, 1000), kNowUs, true);
      EXPECT_TRUE(aged.gone.empty()) << wrong;
      EXPECT_EQ(froms(aged.undated), froms({segments[wrong]}));
      const auto full = retained(segments, keep(kYearUs, 250), kNowUs, true);
      EXPECT_EQ(froms(full.gone), (std::vector<uint64_t>{1, 11, 21})) << wrong;
    }
}

TEST(Retention, AFutureDateOfBeforeIsNoAge) {
  auto segments = hourly(Log::kDecisions, 5);
  for (Segment& segment : segments) segment.rolled_us += kYearUs;  // dated, by an older version
  const auto now = retained(segments, keep(kHourUs, 1000), kNowUs, true);
  EXPECT_TRUE(now.gone.empty());
  EXPECT_EQ(now.undated.size(), 5u);
}

}  // namespace
}  // namespace qw::app
