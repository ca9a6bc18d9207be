// An embedded DuckDB: SQL over tables of ours and over Parquet files.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "schema/records.h"

namespace qw::store::duckdb {

// Always limited: a query beyond them fails, the process does not. Nothing is spilled to disk.
struct Limits {
  size_t memory_mb = 512;
  size_t threads = 1;
};

std::string quoted(std::string_view identifier);  // "it"
std::string quoted_text(std::string_view text);   // 'it'
// "bigint", "double", "varchar", "boolean", "decimal(12,2)", "timestamp".
std::string type_name(const schema::Type& type);
// The same, with timestamps as bigint microseconds: what generated SQL computes with.
std::string type_name_in_micros(const schema::Type& type);

// What a statement answers, as text. A value.
struct Answer {
  struct Column {
    std::string name;
    bool number = false;  // its texts are JSON numbers, or true and false
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;  // nothing: null
};

// One in-memory database and connection. Owns all of it; one thread at a time. Errors: kBadInput
// for SQL that DuckDB refuses (with its words), kExhausted beyond limits or on a full disk.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const Limits& limits);
  ~Engine();

  // One or more statements.
  Result<void> run(const std::string& sql);
  // Creates or replaces a table with the batch's columns, timestamps in microseconds.
  Result<void> load(std::string_view table, const schema::Batch& rows);
  // The same, with event_time, partition, seq, known_at and status.
  Result<void> load_events(std::string_view table, const schema::EventBatch& events);
  // Timestamps as such, then seq and record: what each row was made from.
  Result<void> load_records(std::string_view table, const schema::Batch& rows,
                            const std::vector<Seq>& seqs, const std::vector<std::string>& records);
  // The result's columns must come in the order and with the types of `schema`.
  Result<schema::Batch> query(const std::string& sql,
                              const std::shared_ptr<const schema::Schema>& schema);
  // A result of two columns: seq (bigint) and record (blob). Ends when `visit` says false.
  using RecordVisitor = std::function<bool(Seq seq, std::string_view record)>;
  Result<void> each_record(const std::string& sql, const RecordVisitor& visit);
  // The last statement's answer.
  Result<Answer> ask(const std::string& sql);

 private:
  struct Handles;
  explicit Engine(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

}  // namespace qw::store::duckdb
