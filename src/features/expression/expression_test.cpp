// Aim: expressions mean what docs/reference/expressions.md says, and wrong ones say what is wrong.
// Method: every example of the function table is evaluated, alone and over a chunk of rows; errors
// are compared whole; the reference page is compared with its generator.
#include "features/expression/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "features/cell_text.h"
#include "features/expression/functions.h"

namespace qw::features {
namespace {

using schema::Kind;
using testing::HasSubstr;

std::shared_ptr<const schema::Schema> inputs() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"amount", schema::kDouble},
                                 {"n", schema::kInt64},
                                 {"country", schema::kString},
                                 {"ok", schema::kBool},
                                 {"ts", schema::kTimestamp},
                                 {"price", {Kind::kDecimal, 12, 2}},
                                 {"card.n_1m", schema::kInt64},
                                 {"card.spent_7d_by_1h", schema::kDouble}});
}

std::string answer(std::string_view text) {
  const auto expression = Expression::compile(text, schema::Schema{});
  if (!expression) return expression.error().to_string();
  return text_of(Evaluator(*expression).evaluate(std::span<const Cell>{}), expression->type());
}

std::string error_of(std::string_view text) {
  const auto expression = Expression::compile(text, *inputs());
  return expression ? "compiled" : expression.error().to_string();
}

TEST(Expression, EveryExampleOfTheReferenceHolds) {
  for (const Function& function : all_functions()) {
    EXPECT_FALSE(function.examples.empty()) << function.name;
    for (const Example& example : function.examples)
      EXPECT_EQ(answer(example.expression), example.result) << example.expression;
  }
}

TEST(Expression, ReferencePageIsTheGeneratedOne) {
  const char* const folder = std::getenv("QUICKWATER_SOURCE_DIR");
  if (folder == nullptr) GTEST_SKIP() << "QUICKWATER_SOURCE_DIR is not set";
  const std::string path = std::string(folder) + "/docs/reference/expressions.md";
  if (std::getenv("QUICKWATER_UPDATE") != nullptr) std::ofstream(path) << expressions_reference();
  std::stringstream page;
  page << std::ifstream(path).rdbuf();
  EXPECT_EQ(page.str(), expressions_reference())
      << "run this test with QUICKWATER_UPDATE=1 to write the page";
}

TEST(Expression, PrecedenceAndLayout) {
  EXPECT_EQ(answer("1 + 2 * 3"), "7");
  EXPECT_EQ(answer("-2 * -3 - 1"), "5");
  EXPECT_EQ(answer("not 1 = 2 and 3 > 2 or false"), "true");
  EXPECT_EQ(answer("1 + 1 between 2 and 2 + 0"), "true");
  EXPECT_EQ(answer("CASE WHEN 1 = 1 THEN 'Y' ELSE 'n' END"), "'Y'");
  EXPECT_EQ(answer("2 - 1 - 1"), "0");
  EXPECT_EQ(answer("'it''s'"), "'it's'");
  EXPECT_EQ(answer("1.5e3"), "1500");
  EXPECT_EQ(answer("-9223372036854775808"), "-9223372036854775808");
}

TEST(Expression, ErrorsShowThePlaceAndTheNearestName) {
  EXPECT_EQ(error_of("amount + amuont"),
            "column 10: no column or feature 'amuont'\n  amount + amuont\n           ^"
            " (how to mend: did you mean 'amount'?)");
  EXPECT_THAT(error_of("card.n_1h > 3"), HasSubstr("did you mean 'card.n_1m'?"));
  EXPECT_THAT(error_of("coalesc(n, 1)"), HasSubstr("did you mean 'coalesce'?"));
  EXPECT_THAT(error_of("amount +"), HasSubstr("column 9: expected a value, found the end"));
  EXPECT_THAT(error_of("(amount"), HasSubstr("expected ')'"));
  EXPECT_THAT(error_of("amount amount"), HasSubstr("column 8: unexpected 'amount'"));
  EXPECT_THAT(error_of("1 < 2 < 3"), HasSubstr("cannot be chained"));
  EXPECT_THAT(error_of("'open"), HasSubstr("has no end"));
  EXPECT_THAT(error_of("amount # 2"), HasSubstr("unexpected character '#'"));
  EXPECT_THAT(error_of("ok + 1"), HasSubstr("cannot add bool and int64"));
  EXPECT_THAT(error_of("country > 1"), HasSubstr("string and int64 do not go together"));
  EXPECT_THAT(error_of("n and ok"), HasSubstr("and needs conditions, not int64"));
  EXPECT_THAT(error_of("round(1.5, 99)"), HasSubstr("0 to 15"));
  EXPECT_THAT(error_of("abs()"), HasSubstr("abs takes 1 argument, not 0"));
  EXPECT_THAT(error_of("null"), HasSubstr("has no type"));
  EXPECT_THAT(error_of("cast(n as intt64)"), HasSubstr("'intt64' is not a type"));
  EXPECT_THAT(error_of("99999999999999999999"), HasSubstr("outside int64"));
  EXPECT_THAT(error_of("1e999"), HasSubstr("outside double"));
  EXPECT_THAT(error_of("1x"), HasSubstr("runs into a name"));
}

// Depth and repeated parts are bounded: hostile text is refused, not a stack overflow.
TEST(Expression, HostileTextIsRefused) {
  EXPECT_THAT(error_of(std::string(10'000, '(')), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of(std::string(20'000, ' ')), HasSubstr("above the limit"));
  std::string nested = "ok";
  for (int i = 0; i < 30; ++i) nested = "(" + nested + ") in (true, false)";
  EXPECT_THAT(error_of(nested), HasSubstr("too many nested"));
  std::string chain = "n";
  for (int i = 0; i < 3'000; ++i) chain += "+n";
  EXPECT_EQ(error_of(chain), "compiled");
  std::string nots = "ok";
  for (int i = 0; i < 3'000; ++i) nots = "not " + nots;
  EXPECT_EQ(error_of(nots), "compiled");
}

TEST(Expression, RowsOneByOneAndInChunksAgree) {
  schema::Batch batch(inputs());
  for (int64_t i = 0; i < 1'300; ++i)
    batch.append_row({i % 7 == 0 ? schema::Value{} : schema::Value(0.25 * static_cast<double>(i)),
                      i - 600, std::string(i % 2 == 0 ? "fr" : "de"), i % 3 == 0 ? 1 : int64_t{0},
                      i * 1'000'000, i * 7, i % 5, i % 11 == 0 ? schema::Value{} : 2.0});
  for (const std::string_view text :
       {"amount / nullif(card.spent_7d_by_1h, 0)", "case when ok then upper(country) else 'x' end",
        "price * 3 + 0.5", "n % 7 = 0 or amount > 100", "hour(ts) + day_of_week(ts)"}) {
    const auto expression = Expression::compile(text, *inputs());
    ASSERT_TRUE(expression.ok()) << expression.error().to_string();
    Evaluator evaluator(*expression);
    schema::Column out(expression->type());
    evaluator.evaluate(batch, out);
    ASSERT_EQ(out.size(), batch.rows());
    for (size_t row = 0; row < batch.rows(); ++row)
      ASSERT_EQ(text_of(cell_at(out, row), out.type()),
                text_of(evaluator.evaluate(batch, row), out.type()))
          << text << " row " << row;
  }
}

// Expressions of one shape that differ in their literals alone, evaluated in turn: each keeps its
// own.
TEST(Expression, NoneRemembersWhatAnotherCompared) {
  std::vector<Evaluator> all;
  for (int64_t least = 0; least < 10; ++least) {
    const auto compiled = Expression::compile("n > " + std::to_string(least), *inputs());
    ASSERT_TRUE(compiled.ok());
    all.emplace_back(*compiled);
  }
  std::vector<Cell> cells(inputs()->size());
  for (int64_t value = 0; value < 12; ++value) {
    cells[1] = Cell::of_int(value);
    for (int64_t least = 0; least < 10; ++least)
      EXPECT_EQ(all[static_cast<size_t>(least)].holds(cells), value > least) << value << least;
  }
}

TEST(Expression, InputsThatAreNotNumbersAreNull) {
  const auto expression = Expression::compile("amount is null", *inputs());
  ASSERT_TRUE(expression.ok());
  Evaluator evaluator(*expression);
  for (const double odd : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    schema::Batch batch(inputs());
    batch.append_row({odd, {}, {}, {}, {}, {}, {}, {}});
    EXPECT_EQ(evaluator.evaluate(batch, 0).i, 1);
  }
}

}  // namespace
}  // namespace qw::features
