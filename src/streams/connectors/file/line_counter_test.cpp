// Aim: each line counts in exactly one interval, or is refused with the reason; the same lines give
// the same rows wherever a state is carried over. Method: tables worked out by hand, and an oracle
// that counts all lines at once with nothing but divisions.
#include "streams/connectors/file/line_counter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace qw::streams::file {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kNoClock = INT64_MAX;

DecodeOptions epoch_seconds() {
  DecodeOptions decode;
  decode.format = Format::kText;
  decode.schema = counts_schema();
  decode.time_form = TimeForm::kEpochSeconds;
  decode.pattern = "{ts:timestamp} {level} {_}";
  return decode;
}

Counts every_10s(int64_t lateness_s = 0) {
  Counts counts;
  counts.counters = {{"lines", "", "", false}, {"errors", "level", "ERROR", true}};
  counts.lateness_us = lateness_s * kSecond;
  return counts;
}

LineCounter counter_of(const Counts& counts) {
  auto made = LineCounter::make(counts, epoch_seconds());
  EXPECT_TRUE(made.ok()) << made.error().to_string();
  return std::move(made).value();
}

std::string add(LineCounter& counter, const std::string& line, int64_t now_us = kNoClock) {
  const auto added = counter.add(line, now_us);
  return added.ok() ? "" : added.error().message;
}

// "end lines errors" of each interval that can be given now.
std::vector<std::string> take(LineCounter& counter) {
  schema::Batch rows(counts_schema());
  while (counter.emit("app", rows)) {
  }
  std::vector<std::string> texts;
  for (size_t row = 0; row + 1 < rows.rows(); row += 2) {
    EXPECT_EQ(rows.column(0).string_at(row), "app");
    EXPECT_EQ(rows.column(1).string_at(row), "lines");
    EXPECT_EQ(rows.column(1).string_at(row + 1), "errors");
    texts.push_back(fmt::format("{} {} {}", rows.column(3).int_at(row) / kSecond,
                                rows.column(2).double_at(row), rows.column(2).double_at(row + 1)));
  }
  return texts;
}

TEST(LineCounter, AnIntervalHoldsItsEndAndNotItsBeginning) {
  auto counter = counter_of(every_10s());
  for (const char* line : {"1001 INFO a", "1010 ERROR b", "1010 ERROR c"})
    EXPECT_EQ(add(counter, line), "");
  EXPECT_THAT(take(counter), IsEmpty()) << "another line of 1010 may follow";
  EXPECT_EQ(add(counter, "1011 INFO d"), "");
  EXPECT_THAT(take(counter), ElementsAre("1010 3 0.2"));
  counter.finish();
  EXPECT_THAT(take(counter), ElementsAre("1020 1 0"));
  EXPECT_EQ(counter.rows(), 4u);
}

TEST(LineCounter, WorksBeforeAndAcross1970) {
  auto counter = counter_of(every_10s());
  for (const char* line : {"-11 INFO a", "-10 INFO b", "-9 INFO c", "0 INFO d", "1 INFO e"})
    EXPECT_EQ(add(counter, line), "");
  counter.finish();
  EXPECT_THAT(take(counter), ElementsAre("-10 2 0", "0 2 0", "10 1 0"));
}

TEST(LineCounter, IntervalsWithoutLinesGiveZerosButForAnEndlessGap) {
  auto counter = counter_of(every_10s());
  EXPECT_EQ(add(counter, "1005 INFO a"), "");
  EXPECT_EQ(add(counter, "1035 INFO b"), "");
  EXPECT_THAT(take(counter), ElementsAre("1010 1 0", "1020 0 0", "1030 0 0"));
  EXPECT_EQ(add(counter, "900000 ERROR c"), "");
  for (int lines = 0; lines < 32; ++lines) EXPECT_EQ(add(counter, "900001 ERROR c"), "");
  EXPECT_THAT(take(counter), ElementsAre("1040 1 0", "900000 1 0.1"));
}

// A line a year ahead closes nothing, first in the file or later; nor do a few.
TEST(LineCounter, AFewStrangersCloseNoInterval) {
  for (const size_t at : {0u, 1u, 40u}) {
    auto counter = counter_of(every_10s());
    std::vector<std::string> rows;
    const auto give = [&](const std::string& line) {
      EXPECT_EQ(add(counter, line), "") << line;
      for (const std::string& row : take(counter)) rows.push_back(row);
    };
    for (size_t second = 0; second < 100; ++second) {
      if (second == at)
        for (int n = 0; n < 3; ++n) give(std::to_string(40'000'000 + n) + " INFO stranger");
      give(std::to_string(1001 + second) + " INFO a");
    }
    counter.finish();
    for (const std::string& row : take(counter)) rows.push_back(row);
    for (int end = 1010; end <= 1100; end += 10)
      EXPECT_THAT(rows, testing::Contains(std::to_string(end) + " 10 0")) << at;
    EXPECT_THAT(rows, testing::Contains("40000000 1 0"));
    EXPECT_THAT(rows, testing::Contains("40000010 2 0"));
  }
}

TEST(LineCounter, LateLinesCountUntilTheirIntervalIsClosed) {
  auto counter = counter_of(every_10s(5));
  EXPECT_EQ(add(counter, "1008 INFO a"), "");
  EXPECT_EQ(add(counter, "1015 INFO b"), "");
  EXPECT_EQ(add(counter, "1009 ERROR late"), "");
  EXPECT_THAT(take(counter), IsEmpty());
  EXPECT_EQ(add(counter, "1016 INFO c"), "");
  EXPECT_THAT(add(counter, "1009 ERROR too late"),
              HasSubstr("too late: the interval that ended at"));
  EXPECT_THAT(take(counter), ElementsAre("1010 2 0.1"));
}

TEST(LineCounter, AFileWithoutNewLinesIsClosedByTheClock) {
  auto counter = counter_of(every_10s(5));
  counter.idle(5000 * kSecond);
  EXPECT_THAT(take(counter), IsEmpty()) << "nothing was ever counted";
  EXPECT_EQ(add(counter, "1008 INFO a", 1008 * kSecond), "");
  counter.idle(1025 * kSecond);
  EXPECT_THAT(take(counter), IsEmpty());
  counter.idle(1026 * kSecond);
  EXPECT_THAT(take(counter), ElementsAre("1010 1 0"));
  counter.idle(1046 * kSecond);
  EXPECT_THAT(take(counter), ElementsAre("1020 0 0", "1030 0 0"));
  counter.idle(int64_t{900'000'000} * kSecond);
  EXPECT_THAT(take(counter), IsEmpty()) << "zeros do not go on up to a far today";
  EXPECT_EQ(add(counter, "1058 INFO a", int64_t{900'000'000} * kSecond), "");
  counter.idle(int64_t{900'000'014} * kSecond);
  EXPECT_THAT(take(counter), ElementsAre("1040 0 0", "1050 0 0"));
  counter.idle(int64_t{900'000'015} * kSecond);
  EXPECT_THAT(take(counter), ElementsAre("1060 1 0"));
}

TEST(LineCounter, RefusesLinesThatCannotBeCounted) {
  auto counter = counter_of(every_10s());
  EXPECT_THAT(add(counter, "1008INFO"), HasSubstr("does not fit the pattern"));
  EXPECT_THAT(add(counter, "soon INFO a"), HasSubstr("field 'ts'"));
  EXPECT_THAT(add(counter, "9999999999 INFO a"), HasSubstr("absurd"));
  EXPECT_THAT(add(counter, "2000 INFO a", 1939 * kSecond), HasSubstr("ahead of the clock"));
  EXPECT_EQ(add(counter, "2000 INFO a", 1940 * kSecond), "");
  EXPECT_THAT(take(counter), IsEmpty());
}

TEST(LineCounter, RefusesDefinitionsThatCannotWork) {
  const auto error = [](const Counts& counts, const char* pattern = "{ts} {level}") {
    auto decode = epoch_seconds();
    decode.pattern = pattern;
    auto made = LineCounter::make(counts, decode);
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_EQ(error(every_10s()), "");
  EXPECT_THAT(error(every_10s(), "{time} {level}"), HasSubstr("no field 'ts'"));
  EXPECT_THAT(error(every_10s(), "{ts} {word}"), HasSubstr("no field 'level'"));
  auto twice = every_10s();
  twice.counters[1].metric = "lines";
  EXPECT_THAT(error(twice), HasSubstr("counted twice"));
  EXPECT_FALSE(error(Counts{}).empty());
}

TEST(LineCounter, AStateOfOtherCountersIsNotTakenOver) {
  auto counter = counter_of(every_10s());
  EXPECT_EQ(add(counter, "1008 INFO a"), "");
  EXPECT_EQ(add(counter, "1018 INFO a"), "");
  EXPECT_THAT(take(counter), ElementsAre("1010 1 0"));
  auto changed = every_10s();
  changed.counters[1].equals = "FATAL";
  auto other = counter_of(changed);
  ASSERT_TRUE(other.restore(counter.state()).ok());
  EXPECT_EQ(other.rows(), 2u) << "positions never repeat";
  other.finish();
  EXPECT_THAT(take(other), IsEmpty());
  auto damaged = counter.state();
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_FALSE(counter_of(every_10s()).restore(damaged).ok());
}

// Out of order by less than the lateness, in every interval's order, with gaps.
std::vector<std::pair<int64_t, bool>> some_lines(Random& random) {
  std::vector<std::pair<int64_t, bool>> lines;
  int64_t newest = -300;
  for (int i = 0; i < 400; ++i) {
    newest += static_cast<int64_t>(random.below(random.below(20) == 0 ? 90 : 4));
    lines.emplace_back(newest - static_cast<int64_t>(random.below(8)), random.below(3) == 0);
  }
  return lines;
}

TEST(LineCounter, AgreesWithAnOracleAndCarriesItsStateOver) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const auto lines = some_lines(random);
    std::map<int64_t, std::pair<int, int>> wanted;
    for (const auto& [second, error] : lines) {
      auto& [all, errors] =
          wanted[static_cast<int64_t>(std::ceil(static_cast<double>(second) / 10)) * 10];
      ++all;
      errors += error ? 1 : 0;
    }
    std::vector<std::string> expected;
    for (int64_t end = wanted.begin()->first; end <= wanted.rbegin()->first; end += 10)
      expected.push_back(
          fmt::format("{} {} {}", end, wanted[end].first, wanted[end].second / 10.0));
    std::vector<std::string> got;
    auto counter = counter_of(every_10s(8));
    for (const auto& [second, error] : lines) {
      ASSERT_EQ(add(counter, fmt::format("{} {} x", second, error ? "ERROR" : "INFO")), "");
      if (random.below(5) == 0) {
        auto next = counter_of(every_10s(8));
        ASSERT_TRUE(next.restore(counter.state()).ok());
        counter = std::move(next);
      }
      for (auto& text : take(counter)) got.push_back(std::move(text));
    }
    counter.finish();
    for (auto& text : take(counter)) got.push_back(std::move(text));
    EXPECT_EQ(got, expected) << "seed " << seed;
    EXPECT_EQ(counter.rows(), 2 * expected.size());
  }
}

}  // namespace
}  // namespace qw::streams::file
