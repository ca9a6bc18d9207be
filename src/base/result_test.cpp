// Aim: Result carries exactly one of value and error through QW_TRY and QW_ASSIGN.
#include "base/result.h"

#include <gtest/gtest.h>

namespace qw {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0)
    return Error{ErrorCode::kBadInput, "3 is odd", "numbers.txt:1:1", "write an even number"};
  return number / 2;
}

Result<int> quarter(int number) {
  QW_ASSIGN(int first, half(number));
  QW_TRY(half(first));
  return half(first);
}

TEST(Result, PassesValuesThrough) { EXPECT_EQ(quarter(8).value(), 2); }

TEST(Result, StopsAtTheFirstError) {
  auto result = quarter(6);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(result.error().to_string(),
            "numbers.txt:1:1: 3 is odd (how to mend: write an even number)");
}

TEST(ResultDeathTest, ReadingAnAbsentValueStopsTheProcess) {
  EXPECT_DEATH((void)half(3).value(), "Result holds a value: numbers.txt");
}

}  // namespace
}  // namespace qw
