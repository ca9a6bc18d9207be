// Aim: more than 1% of late events is told once, when there are enough to say so, and again only
// after a time without. Method: readings of counts as a source would give them.
#include <gtest/gtest.h>

#include "app/runtime/system_log.h"

namespace qw::test {
namespace {

class LateShareTest : public testing::Test {
 protected:
  bool second(uint64_t ok, uint64_t late, bool last = false) {
    counts_.ok += ok;
    counts_.late_dropped += late;
    return share_.look(counts_, last);
  }
  app::LateShare share_;
  streams::GateCounts counts_;
};

TEST_F(LateShareTest, IsToldOnceAndAgainAfterATimeWithout) {
  EXPECT_FALSE(second(50, 10)) << "too few to say";
  EXPECT_TRUE(second(50, 10));
  EXPECT_NEAR(share_.share(), 1.0 / 6, 1e-9);
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(second(50, 10));
  for (int i = 0; i < 121; ++i) EXPECT_FALSE(second(50, 0));
  EXPECT_EQ(share_.share(), 0);
  bool told = false;
  for (int i = 0; i < 60; ++i) told |= second(50, 10);
  EXPECT_TRUE(told);
}

TEST_F(LateShareTest, OnePercentIsNotTold) {
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(second(99, 1));
  EXPECT_FALSE(second(99, 1, true));
}

TEST_F(LateShareTest, TheLastReadingTellsOfAFew) {
  EXPECT_FALSE(second(2, 1));
  EXPECT_TRUE(second(0, 0, true));
}

TEST_F(LateShareTest, WithoutEventsThereIsNothingToTell) { EXPECT_FALSE(second(0, 0, true)); }

}  // namespace
}  // namespace qw::test
