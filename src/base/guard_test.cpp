#include "base/guard.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>

namespace qw {
namespace {

TEST(Guard, ReturnsWhatTheWorkReturns) {
  EXPECT_EQ(*guarded("here", [] { return 7; }), 7);
  EXPECT_EQ(*guarded("here", []() -> Result<int> { return 8; }), 8);
  EXPECT_TRUE(guarded("here", [] {}).ok());
  const auto failed = guarded("here", []() -> Result<void> {
    return Error{ErrorCode::kNotFound, "no", "", ""};
  });
  EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
}

// Whatever a library throws for want of means is told as such, with what to raise.
TEST(Guard, TellsWhatTheMachineRefused) {
  const auto of = [](const auto& thrown) {
    return guarded("there", [&] { throw thrown; }).error();
  };
  EXPECT_EQ(of(std::bad_alloc()).code, ErrorCode::kExhausted);
  EXPECT_EQ(of(std::bad_alloc()).where, "there");
  const auto refusal = [](int number) {
    return std::system_error(number, std::generic_category(), "it");
  };
  EXPECT_NE(of(refusal(EAGAIN)).how_to_mend.find("ulimit -u"), std::string::npos);
  EXPECT_NE(of(refusal(EMFILE)).how_to_mend.find("ulimit -n"), std::string::npos);
  EXPECT_EQ(of(refusal(ENOSPC)).code, ErrorCode::kExhausted);
  EXPECT_EQ(of(refusal(EACCES)).code, ErrorCode::kIo);
  EXPECT_EQ(of(std::runtime_error("write: File too large")).code, ErrorCode::kExhausted);
  EXPECT_EQ(of(std::logic_error("vector::at")).code, ErrorCode::kInternal);
  EXPECT_EQ(of(5).code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace qw
