// The same definitions as DuckDB SQL: text that a person can read and run.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "features/definition.h"
#include "store/duckdb/engine.h"

namespace qw::features::duckdb {

using store::duckdb::Engine;
using store::duckdb::Limits;
using store::duckdb::quoted;

// One that knows the prelude.
Result<std::unique_ptr<Engine>> open_engine(const Limits& limits);

// The macros that generated SQL uses (qw_add, qw_finite, ...); run once per connection.
std::string prelude();

// "bigint", "double", "varchar", "boolean", "decimal(12,2)"; timestamps are bigint microseconds.
inline std::string type_name(const schema::Type& type) {
  return store::duckdb::type_name_in_micros(type);
}
// For comments: without what could end them.
std::string one_line(std::string_view text);

// One expression; columns appear under their own names, quoted.
std::string expression(const Expression& expression);

// The tables that a query of a view reads, by name and as they must be. A value.
struct ViewQuery {
  // Columns of the source, then event_time, partition, seq, known_at (bigint), status (varchar).
  std::string events;
  // row_id, the view's key columns; event_time; partition and seq of the event it is about (bigint,
  // null where it is about none); known (map(bigint, bigint): up to which seq of each partition;
  // null: all).
  std::string spine;
  // Adds <feature>__bound for features of class float: how far another executor may be off.
  bool with_bounds = false;
};
// One row for each row of the spine, ordered by row_id: row_id, then the view's features. Joins on
// (event_time, seq), never a RANGE frame.
std::string view_query(const View& view, const ViewQuery& tables);

// Derived features over a table that has row_id and every column that the expressions read.
std::string derived_query(const std::vector<Derived>& derived, std::string_view table);

}  // namespace qw::features::duckdb
