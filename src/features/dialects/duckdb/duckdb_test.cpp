// Aim: the generated SQL is stable, readable text that DuckDB runs, and each function means there
// what the reference says. Method: golden text; every example of the function table on DuckDB.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "features/cell_text.h"
#include "features/dialects/duckdb/sql.h"
#include "features/expression/functions.h"

namespace qw::features::duckdb {
namespace {

std::unique_ptr<Engine> engine_of_tests() {
  auto engine = open_engine({});
  QW_ASSERT(engine.ok());
  return std::move(*engine);
}

TEST(DuckDbExpression, EveryExampleOfTheReferenceHolds) {
  const auto engine = engine_of_tests();
  for (const Function& function : all_functions()) {
    for (const Example& example : function.examples) {
      const auto compiled = Expression::compile(example.expression, schema::Schema{});
      ASSERT_TRUE(compiled.ok()) << compiled.error().to_string();
      const auto schema = std::make_shared<const schema::Schema>(
          std::vector<schema::Field>{{"answer", compiled->type()}});
      const std::string sql =
          "select (" + expression(*compiled) + ")::" + type_name(compiled->type());
      const auto answer = engine->query(sql, schema);
      ASSERT_TRUE(answer.ok()) << answer.error().to_string() << "\n" << sql;
      EXPECT_EQ(text_of(cell_at(answer->column(0), 0), compiled->type()), example.result)
          << example.expression << "\n"
          << sql;
    }
  }
}

ViewPtr golden_view() {
  const auto source = std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"card_id", schema::kString},
                                 {"merchant_id", schema::kString},
                                 {"amount", schema::kDouble},
                                 {"price", {schema::Kind::kDecimal, 12, 2}}});
  auto view = View::compile({"card",
                             "transactions",
                             {"card_id"},
                             {"1m", "7d/1h"},
                             {{"n", "count()"},
                              {"spent", "sum(amount)"},
                              {"paid", "sum(price)"},
                              {"merchants", "count_distinct(merchant_id)"},
                              {"p95", "quantile(amount, 0.95)"},
                              {"spread", "stddev(amount)"},
                              {"latest", "last(price) max_age 1h"},
                              {"recent", "last_k(price, 2)"},
                              {"large", "count(case when amount > 100 then 1 end)"},
                              {"pace", "rate()"}}},
                            source, 0);
  QW_ASSERT(view.ok());
  return *view;
}

TEST(DuckDbView, TextIsTheGoldenOne) {
  const char* const folder = std::getenv("QUICKWATER_SOURCE_DIR");
  if (folder == nullptr) GTEST_SKIP() << "QUICKWATER_SOURCE_DIR is not set";
  const std::string path = std::string(folder) + "/src/features/dialects/duckdb/testdata/card.sql";
  const std::string sql = view_query(*golden_view(), {"transactions", "spine", false});
  if (std::getenv("QUICKWATER_UPDATE") != nullptr) std::ofstream(path) << sql;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(golden.str(), sql) << "run this test with QUICKWATER_UPDATE=1 to write the file";
}

TEST(DuckDbEngine, RefusesWhatItCannotDoWithItsWords) {
  const auto engine = engine_of_tests();
  const auto wrong = engine->run("selec 1");
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("DuckDB: "));
  auto small = open_engine({16, 1});
  ASSERT_TRUE(small.ok());
  const auto full = (*small)->run(
      "set temp_directory = ''; create table t as select range r, random()::varchar x from "
      "range(20000000)");
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kExhausted) << full.error().to_string();
}

}  // namespace
}  // namespace qw::features::duckdb
