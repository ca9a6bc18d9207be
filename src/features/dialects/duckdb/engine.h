// An embedded DuckDB that runs generated SQL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/records.h"

namespace qw::features::duckdb {

// Always limited: a query beyond them fails, the process does not.
struct Limits {
  size_t memory_mb = 512;
  size_t threads = 1;
};

// One in-memory database and connection, with the prelude loaded. Owns all of it; one thread at a
// time. Errors: kBadInput for SQL that DuckDB refuses (with its words), kExhausted beyond limits.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const Limits& limits);
  ~Engine();

  // One or more statements.
  Result<void> run(const std::string& sql);
  // Creates or replaces a table with the batch's columns.
  Result<void> load(std::string_view table, const schema::Batch& rows);
  // The same, with event_time, partition, seq, known_at and status.
  Result<void> load_events(std::string_view table, const schema::EventBatch& events);
  // The result's columns must come in the order and with the types of `schema`.
  Result<schema::Batch> query(const std::string& sql,
                              const std::shared_ptr<const schema::Schema>& schema);

 private:
  struct Handles;
  explicit Engine(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

}  // namespace qw::features::duckdb
