// Aim: one incident, one alarm. Method: cases by hand, and the rule in closed form over random
// rows.
#include "models/engines/detectors/alarm_gate.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace qw::models::detectors {
namespace {

TEST(AlarmGate, IsSilentForThirtyRowsWhileYoung) {
  AlarmGate gate;
  std::vector<int> alarms;
  for (int row = 0; row < 100; ++row) {
    if (gate.admit(true)) alarms.push_back(row);
  }
  EXPECT_EQ(alarms, (std::vector<int>{0, 31, 62, 93}));
}

TEST(AlarmGate, IsSilentForAShareOfTheRowsLater) {
  AlarmGate gate;
  for (int row = 0; row < 9999; ++row) EXPECT_FALSE(gate.admit(false));
  EXPECT_TRUE(gate.admit(true));  // the 10,000th row: silent for 300
  for (int row = 0; row < 300; ++row) ASSERT_FALSE(gate.admit(true)) << row;
  EXPECT_TRUE(gate.admit(true));
}

TEST(AlarmGate, EqualsTheRuleOnRandomRows) {
  std::mt19937 random(2);
  std::bernoulli_distribution above(0.01);
  const AlarmSilence silence{10, 0.05};
  AlarmGate gate;
  int64_t quiet_until = 0;  // first row that may alarm
  for (int64_t row = 1; row <= 20000; ++row) {
    const bool high = above(random);
    const bool expected = high && row >= quiet_until;
    if (expected) {
      quiet_until = row + 1 + std::max<int64_t>(10, static_cast<int64_t>(0.05 * double(row)));
    }
    ASSERT_EQ(gate.admit(high, silence), expected) << row;
    AlarmGate moved;  // its bytes are all there is
    std::memcpy(static_cast<void*>(&moved), &gate, sizeof gate);
    gate = moved;
  }
}

}  // namespace
}  // namespace qw::models::detectors
