// Aim: distance and probability are those of the real test.
// Method: scipy.stats.ks_2samp (exact) is the oracle: ks_oracle.csv holds its answers on 400 pairs
// of samples, whose numbers are drawn here again from the same seeds (ks_oracle.py).
#include "monitor/drift/ks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/env.h"

namespace qw::monitor {
namespace {

using schema::ScoreSketch;

ScoreSketch draw(const std::string& kind, uint64_t seed, int size, double shift) {
  Random random(seed);
  ScoreSketch sketch;
  for (int i = 0; i < size; ++i) {
    const double u = random.uniform();
    if (kind == "uniform")
      sketch.add(u + shift);
    else if (kind == "exponential")
      sketch.add(-std::log(1 - u) * (1 + shift));
    else if (kind == "signed")
      sketch.add(u * 8 - 4 - shift * 8);
    else
      sketch.add(u < 0.5 ? 0.0 : u + shift);
  }
  return sketch;
}

struct OracleCase {
  std::string kind;
  uint64_t seed = 0;
  int size_a = 0, size_b = 0;
  double shift = 0, distance = 0, p_exact = 0;
};

std::vector<OracleCase> oracle() {
  std::ifstream file(QUICKWATER_KS_ORACLE);
  std::vector<OracleCase> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    for (char& c : line)
      if (c == ',') c = ' ';
    OracleCase one;
    std::istringstream(line) >> one.kind >> one.seed >> one.size_a >> one.size_b >> one.shift >>
        one.distance >> one.p_exact;
    cases.push_back(one);
  }
  return cases;
}

TEST(KolmogorovSmirnov, TheExactDistanceLiesWithinTheSketchsBounds) {
  const auto cases = oracle();
  ASSERT_EQ(cases.size(), 400u);
  double widest = 0;
  for (const OracleCase& one : cases) {
    const auto a = draw(one.kind, one.seed, one.size_a, 0);
    const auto b = draw(one.kind, one.seed + 1, one.size_b, one.shift);
    const KsDistance found = ks_distance(a, b);
    ASSERT_LE(found.at_least, one.distance + 1e-9) << one.kind << " " << one.seed;
    ASSERT_GE(found.at_most, one.distance - 1e-9) << one.kind << " " << one.seed;
    ASSERT_EQ(found.at_least, ks_distance(b, a).at_least);
    widest = std::max(widest, one.distance - found.at_least);
  }
  // What is lost by rounding to bins; the widest bin of these distributions holds 6% of one.
  EXPECT_LT(widest, 0.06);
}

TEST(KolmogorovSmirnov, TheProbabilityIsThatOfTheExactTest) {
  for (const OracleCase& one : oracle()) {
    const double p = ks_p_value(one.distance, one.size_a, one.size_b);
    ASSERT_NEAR(p, one.p_exact, 0.05) << one.kind << " " << one.seed;
    if (one.p_exact > 0.1) continue;
    ASSERT_GE(p, 0.9 * one.p_exact) << one.kind << " " << one.seed;
    ASSERT_LE(p, std::max(1.3 * one.p_exact, 1e-20)) << one.kind << " " << one.seed;
  }
}

TEST(KolmogorovSmirnov, TheCriticalDistanceHasItsProbability) {
  for (const double p : {0.1, 0.01, 1e-6, 1e-12})
    for (const double worth : {20.0, 300.0, 1e5}) {
      const double distance = ks_critical(p, 1000, worth);
      EXPECT_NEAR(std::log(ks_p_value(distance, 1000, worth)), std::log(p), 1e-6) << p << worth;
    }
  // Published: 1.358 / sqrt(n) at 5%, 1.628 at 1% (Smirnov's table), for two large equal samples.
  EXPECT_NEAR(ks_critical(0.05, 2e8, 2e8) * 1e4, 1.358, 0.001);
  EXPECT_NEAR(ks_critical(0.01, 2e8, 2e8) * 1e4, 1.628, 0.001);
  EXPECT_GT(ks_critical(0.01, 2, 2), 1) << "two numbers show nothing";
}

TEST(KolmogorovSmirnov, NothingIsAsFarFromNothingAsFromAnything) {
  ScoreSketch one;
  one.add(1);
  EXPECT_EQ(ks_distance({}, one).at_least, 0);
  EXPECT_EQ(ks_distance(one, {}).at_most, 0);
  EXPECT_EQ(ks_distance(one, one).at_least, 0);
  EXPECT_EQ(ks_distance(one, one).at_most, 1);
}

}  // namespace
}  // namespace qw::monitor
