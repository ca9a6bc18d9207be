#include "base/progress.h"

#include <gtest/gtest.h>

namespace qw {
namespace {

TEST(Progress, DrawsWhatIsDone) {
  EXPECT_EQ(progress_bar(0, 400, 3), "[--------------------] 0 %");
  EXPECT_EQ(progress_bar(100, 400, 3), "[#####---------------] 25 %");
  EXPECT_EQ(progress_bar(400, 400, 3), "[####################] 100 %");
  EXPECT_EQ(progress_bar(900, 400, 3), "[####################] 100 %");  // more came meanwhile
  EXPECT_EQ(progress_bar(5, 0, 12), "12 s");
}

TEST(Progress, EndsWhereItIsLeft) {
  Progress progress("short work", 10);
  progress.at(5);
  progress.add();
}

}  // namespace
}  // namespace qw
