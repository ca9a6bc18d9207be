// Aim: no way of printing a Secret shows its value.
// Method: print a planted value by every route a Secret has and look for it.
#include "schema/secret.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <type_traits>
#include <vector>

namespace qw::schema {
namespace {

constexpr char kPlanted[] = "planted-7f3a";

TEST(Secret, prints_how_it_was_written) {
  const Secret secret(kPlanted, "${TOKEN}");
  EXPECT_EQ(secret.reveal(), kPlanted);
  EXPECT_EQ(fmt::format("{}", secret), "${TOKEN}");
  EXPECT_EQ(fmt::format("{:>10}", secret), "  ${TOKEN}");
  std::ostringstream out;
  out << secret;
  EXPECT_EQ(out.str(), "${TOKEN}");
  EXPECT_EQ(::testing::PrintToString(secret), "${TOKEN}");
  EXPECT_THAT(::testing::PrintToString(std::vector<Secret>{secret}),
              ::testing::Not(::testing::HasSubstr(kPlanted)));
}

TEST(Secret, does_not_turn_into_text_by_itself) {
  static_assert(!std::is_convertible_v<Secret, std::string>);
  static_assert(!std::is_constructible_v<std::string, Secret>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!std::is_convertible_v<std::string, Secret>);
}

TEST(Secret, open_has_nothing_to_hide) {
  EXPECT_EQ(fmt::format("{}", Secret::open("localhost:9092")), "localhost:9092");
  EXPECT_TRUE(Secret{}.empty());
}

}  // namespace
}  // namespace qw::schema
