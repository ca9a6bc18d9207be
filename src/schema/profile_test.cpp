// Aim: the sketch counts exactly at its edges, merges exactly, and says what its scores are worth.
// Method: sorted numbers as the exact answer; AR(1) numbers, whose worth is known in closed form.
#include "schema/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/env.h"

namespace qw::schema {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> some_numbers(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<double> numbers;
  for (size_t i = 0; i < count; ++i) {
    const double size = std::exp(random.uniform() * 12 - 6);
    numbers.push_back(random.below(4) == 0 ? -size : random.below(5) == 0 ? 0.0 : size);
  }
  return numbers;
}

ScoreSketch sketch_of(const std::vector<double>& numbers) {
  ScoreSketch sketch;
  for (const double number : numbers) sketch.add(number);
  return sketch;
}

TEST(ScoreSketch, BinsBeginAndEndWhereTheyShould) {
  EXPECT_EQ(ScoreSketch::bin_of(0.0), 0);
  EXPECT_EQ(ScoreSketch::bin_of(-0.0), 0);
  EXPECT_EQ(ScoreSketch::bin_of(std::ldexp(1, -17)), 0);
  EXPECT_EQ(ScoreSketch::bin_of(std::ldexp(1, -16)), 1);
  EXPECT_EQ(ScoreSketch::bin_of(-std::ldexp(1, -16)), -1);
  EXPECT_EQ(ScoreSketch::bin_of(1.0), 16 * 32 + 1);
  EXPECT_EQ(ScoreSketch::bin_of(std::nextafter(1.0, 0)), 16 * 32);
  EXPECT_EQ(ScoreSketch::bin_of(1 + 1.0 / 32), 16 * 32 + 2);
  EXPECT_EQ(ScoreSketch::bin_of(1e300), ScoreSketch::kBinMax);
  EXPECT_EQ(ScoreSketch::bin_of(-1e300), -ScoreSketch::kBinMax);
  for (int bin = -ScoreSketch::kBinMax; bin <= ScoreSketch::kBinMax; ++bin)
    ASSERT_EQ(ScoreSketch::bin_of(ScoreSketch::middle_of(bin)), bin);
}

TEST(ScoreSketch, SharesBelowAnEdgeAreExact) {
  auto numbers = some_numbers(1, 5000);
  const ScoreSketch sketch = sketch_of(numbers);
  EXPECT_EQ(sketch.count(), 5000u);
  for (const double edge : {-100.0, -1.0, 0.5, 1.0, 2.0, 64.0}) {
    const auto below =
        static_cast<uint64_t>(std::count_if(numbers.begin(), numbers.end(), [&](double number) {
          return edge < 0 ? number <= edge : number < edge;
        }));
    const int last = edge < 0 ? ScoreSketch::bin_of(edge) : ScoreSketch::bin_of(edge) - 1;
    EXPECT_EQ(sketch.up_to(last), below) << edge;
  }
}

TEST(ScoreSketch, QuantilesAreWithinASixtyFourth) {
  auto numbers = some_numbers(2, 4001);
  const ScoreSketch sketch = sketch_of(numbers);
  std::sort(numbers.begin(), numbers.end());
  for (size_t rank = 1; rank < 4000; rank += 7) {
    const double exact = numbers[rank];
    const double found = sketch.quantile(static_cast<double>(rank + 1) / 4001.0);
    ASSERT_LE(std::fabs(found - exact), std::fabs(exact) / 64 + 1e-12) << "rank " << rank;
  }
  EXPECT_TRUE(std::isnan(ScoreSketch().quantile(0.5)));
}

TEST(ScoreSketch, MergedPartsAreTheWholeInAnyOrder) {
  auto numbers = some_numbers(3, 3000);
  const ScoreSketch whole = sketch_of(numbers);
  ScoreSketch merged;
  for (size_t part = 3; part-- > 0;)
    merged.merge(sketch_of({numbers.begin() + static_cast<ptrdiff_t>(part * 1000),
                            numbers.begin() + static_cast<ptrdiff_t>(part * 1000 + 1000)}));
  EXPECT_EQ(merged, whole);
  std::reverse(numbers.begin(), numbers.end());
  EXPECT_EQ(sketch_of(numbers), whole);
}

TEST(ScoreSketch, WhatIsNotFiniteIsCountedApart) {
  const ScoreSketch sketch =
      sketch_of({1.0, std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity});
  EXPECT_EQ(sketch.count(), 1u);
  EXPECT_EQ(sketch.not_finite(), 3u);
}

TEST(ScoreSketch, BytesAreReadBackAndDamageIsRefused) {
  ScoreSketch sketch = sketch_of(some_numbers(4, 1000));
  sketch.add(kInfinity);
  std::string bytes;
  sketch.encode(bytes);
  std::string two = bytes + bytes;
  std::string_view rest = two;
  EXPECT_EQ(ScoreSketch::decode(rest).value(), sketch);
  EXPECT_EQ(ScoreSketch::decode(rest).value(), sketch);
  EXPECT_TRUE(rest.empty());
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::string_view cut = std::string_view(bytes).substr(0, size);
    ASSERT_FALSE(ScoreSketch::decode(cut).ok()) << size;
  }
  std::string huge("\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
  std::string_view view = huge;
  EXPECT_FALSE(ScoreSketch::decode(view).ok());
}

SlicedScores alike(double likeness, int64_t count, int64_t step_us) {
  Random random(42);
  SlicedScores scores;
  double now = 0;
  for (int64_t i = 0; i < count; ++i) {
    double noise = -6;
    for (int k = 0; k < 12; ++k) noise += random.uniform();
    now = likeness * now + std::sqrt(1 - likeness * likeness) * noise;
    scores.add(i * step_us, 5 + now);
  }
  return scores;
}

TEST(SlicedScores, SaysWhatScoresAreWorth) {
  // Independent: all they are, less the caution of the 1% quantile and of the worst decile.
  const ScoreProfile free = alike(0, 50'000, 1'000'000).profile();
  EXPECT_EQ(free.scores.count(), 50'000u);
  EXPECT_GT(free.effective, 50'000 * 0.3);
  // The mean of AR(1) numbers is worth (1 - r) / (1 + r) of their count; the share below the median
  // a little more.
  for (const double likeness : {0.5, 0.9, 0.99}) {
    const double worth = 50'000 * (1 - likeness) / (1 + likeness);
    const ScoreProfile profile = alike(likeness, 50'000, 1'000'000).profile();
    EXPECT_LT(profile.effective, worth * 1.3) << likeness;
    EXPECT_GT(profile.effective, worth * 0.25) << likeness;
  }
}

TEST(SlicedScores, HoldsTheWholeHoweverLongItTakes) {
  const SlicedScores sparse = alike(0, 5000, 3'600'000'000);
  EXPECT_EQ(sparse.count(), 5000u);
  EXPECT_EQ(sparse.profile().scores, alike(0, 5000, 1).profile().scores);
  EXPECT_EQ(alike(0, 5000, 1).profile().effective, 1) << "all within one slice: nothing is known";
  SlicedScores backwards;
  backwards.add(1'000'000'000, 1);
  backwards.add(-5, 2);
  backwards.add(std::numeric_limits<int64_t>::min(), 3);
  backwards.add(std::numeric_limits<int64_t>::max(), 4);
  EXPECT_EQ(backwards.count(), 4u);
  EXPECT_EQ(SlicedScores().profile().effective, 0);
}

TEST(SlicedScores, BytesAreReadBack) {
  SlicedScores scores = alike(0.5, 3000, 1'000'000);
  std::string bytes;
  scores.encode(bytes);
  std::string_view rest = bytes;
  SlicedScores read = SlicedScores::decode(rest).value();
  EXPECT_TRUE(rest.empty());
  scores.add(4'000'000'000, 7);
  read.add(4'000'000'000, 7);
  EXPECT_EQ(read.profile().effective, scores.profile().effective);
  EXPECT_EQ(read.profile().scores, scores.profile().scores);
  std::string_view cut = std::string_view(bytes).substr(0, bytes.size() - 1);
  EXPECT_FALSE(SlicedScores::decode(cut).ok());
}

TEST(ScoreProfile, JsonIsReadBackAndMistakesAreNamed) {
  const ScoreProfile profile = alike(0.9, 3000, 1'000'000).profile();
  const ScoreProfile read = ScoreProfile::from_json(profile.json()).value();
  EXPECT_EQ(read.scores, profile.scores);
  EXPECT_EQ(read.effective, profile.effective);
  for (const char* bad :
       {"", "{}", "[]", R"({"format":2,"bins":[],"effective":1})", R"({"format":1,"effective":1})",
        R"({"format":1,"bins":[[1]],"effective":1})",
        R"({"format":1,"bins":[[1,-1]],"effective":1})",
        R"({"format":1,"bins":[[99999,1]],"effective":1})", R"({"format":1,"bins":[[1,5]]})",
        R"({"format":1,"bins":[[1,5]],"effective":6})", R"({"format":1,"bins":[],"effective":1})",
        R"({"format":"x","bins":[],"effective":1})"})
    EXPECT_FALSE(ScoreProfile::from_json(bad).ok()) << bad;
}

}  // namespace
}  // namespace qw::schema
