// Aim: the fetched DuckDB answers SQL, writes Parquet and reads it back, with a memory and a thread
// limit. Method: a point-in-time join through a Parquet file, whose answer is known by hand.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "duckdb.h"

namespace {

class Duck {
 public:
  Duck() {
    duckdb_config config = nullptr;
    EXPECT_EQ(duckdb_create_config(&config), DuckDBSuccess);
    EXPECT_EQ(duckdb_set_config(config, "threads", "1"), DuckDBSuccess);
    EXPECT_EQ(duckdb_set_config(config, "memory_limit", "256MB"), DuckDBSuccess);
    EXPECT_EQ(duckdb_open_ext(nullptr, &database_, config, nullptr), DuckDBSuccess);
    duckdb_destroy_config(&config);
    EXPECT_EQ(duckdb_connect(database_, &connection_), DuckDBSuccess);
  }
  ~Duck() {
    duckdb_disconnect(&connection_);
    duckdb_close(&database_);
  }
  Duck(const Duck&) = delete;
  Duck& operator=(const Duck&) = delete;

  // The first value of the first row, as a number; -1 and a failed test on an error.
  double ask(const std::string& sql) {
    duckdb_result result;
    double answer = -1;
    if (duckdb_query(connection_, sql.c_str(), &result) == DuckDBError) {
      ADD_FAILURE() << duckdb_result_error(&result);
    } else if (duckdb_row_count(&result) > 0) {
      answer = duckdb_value_double(&result, 0, 0);
    }
    duckdb_destroy_result(&result);
    return answer;
  }

 private:
  duckdb_database database_ = nullptr;
  duckdb_connection connection_ = nullptr;
};

TEST(Toolchain, DuckDbJoinsAsOfThroughParquet) {
  const std::string file =
      (std::filesystem::path(testing::TempDir()) / "qw_toolchain.parquet").string();
  Duck duck;
  duck.ask("copy (select * from (values (10, 1.5), (20, 2.5)) p(t, price)) to '" + file +
           "' (format parquet)");
  EXPECT_EQ(
      duck.ask("select price from (values (19)) e(t) asof join '" + file + "' p on e.t >= p.t"),
      1.5);
  std::filesystem::remove(file);
}

}  // namespace
