#include "features/dialects/duckdb/engine.h"

#include <duckdb.h>
#include <fmt/format.h>

#include <limits>

#include "features/dialects/duckdb/sql.h"

namespace qw::features::duckdb {
namespace {

using schema::Kind;

struct ResultGuard {
  duckdb_result result{};
  ~ResultGuard() { duckdb_destroy_result(&result); }
};
struct ChunkGuard {
  duckdb_data_chunk chunk;
  ~ChunkGuard() { duckdb_destroy_data_chunk(&chunk); }
};
struct AppenderGuard {
  duckdb_appender appender = nullptr;
  ~AppenderGuard() { duckdb_appender_destroy(&appender); }
};

Error engine_error(const char* words) {
  const std::string text = words == nullptr ? "no reason given" : words;
  const bool limit = text.find("Out of Memory") != std::string::npos;
  return Error{limit ? ErrorCode::kExhausted : ErrorCode::kBadInput, "DuckDB: " + text, "",
               limit ? "raise its memory limit, or take fewer rows" : ""};
}

void append_decimal(duckdb_appender appender, int64_t value, const schema::Type& type) {
  duckdb_decimal decimal;
  decimal.width = type.precision;
  decimal.scale = type.scale;
  decimal.value.lower = static_cast<uint64_t>(value);
  decimal.value.upper = value < 0 ? -1 : 0;
  duckdb_value boxed = duckdb_create_decimal(decimal);
  duckdb_append_value(appender, boxed);
  duckdb_destroy_value(&boxed);
}

void append_cell_to(duckdb_appender appender, const schema::Column& column, size_t row) {
  if (!column.valid(row)) {
    duckdb_append_null(appender);
    return;
  }
  switch (column.type().kind) {
    case Kind::kBool: duckdb_append_bool(appender, column.int_at(row) != 0); return;
    case Kind::kDouble: duckdb_append_double(appender, column.double_at(row)); return;
    case Kind::kDecimal: append_decimal(appender, column.int_at(row), column.type()); return;
    case Kind::kString: {
      const std::string_view text = column.string_at(row);
      duckdb_append_varchar_length(appender, text.data(), text.size());
      return;
    }
    default: duckdb_append_int64(appender, column.int_at(row)); return;
  }
}

int64_t bigint_of(uint64_t value) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(std::min(value, kMost));
}

int64_t decimal_in(duckdb_vector vector, idx_t row) {
  duckdb_logical_type type = duckdb_vector_get_column_type(vector);
  const duckdb_type inside = duckdb_decimal_internal_type(type);
  duckdb_destroy_logical_type(&type);
  const void* const data = duckdb_vector_get_data(vector);
  if (inside == DUCKDB_TYPE_SMALLINT) return static_cast<const int16_t*>(data)[row];
  if (inside == DUCKDB_TYPE_INTEGER) return static_cast<const int32_t*>(data)[row];
  return static_cast<const int64_t*>(data)[row];
}

void read_into(duckdb_vector vector, idx_t row, schema::Column& column) {
  uint64_t* const validity = duckdb_vector_get_validity(vector);
  if (validity != nullptr && !duckdb_validity_row_is_valid(validity, row))
    return column.append_null();
  const void* const data = duckdb_vector_get_data(vector);
  switch (column.type().kind) {
    case Kind::kBool: return column.append_int(static_cast<const bool*>(data)[row]);
    case Kind::kDouble: return column.append_double(static_cast<const double*>(data)[row]);
    case Kind::kDecimal: return column.append_int(decimal_in(vector, row));
    case Kind::kString: {
      duckdb_string_t text = static_cast<const duckdb_string_t*>(data)[row];
      return column.append_string({duckdb_string_t_data(&text), duckdb_string_t_length(text)});
    }
    default: return column.append_int(static_cast<const int64_t*>(data)[row]);
  }
}

duckdb_type wire_type(Kind kind) {
  switch (kind) {
    case Kind::kBool: return DUCKDB_TYPE_BOOLEAN;
    case Kind::kDouble: return DUCKDB_TYPE_DOUBLE;
    case Kind::kString: return DUCKDB_TYPE_VARCHAR;
    case Kind::kDecimal: return DUCKDB_TYPE_DECIMAL;
    default: return DUCKDB_TYPE_BIGINT;
  }
}

std::string create_table(std::string_view table, const schema::Schema& schema, bool events) {
  std::string sql = fmt::format("create or replace table {} (", quoted(table));
  for (size_t i = 0; i < schema.size(); ++i)
    sql += fmt::format("{}{} {}", i == 0 ? "" : ", ", quoted(schema.field(i).name),
                       type_name(schema.field(i).type));
  if (events)
    sql += ", event_time bigint, partition bigint, seq bigint, known_at bigint, status varchar";
  return sql + ")";
}

void append_facts(duckdb_appender appender, const schema::EventFacts& facts) {
  duckdb_append_int64(appender, facts.event_time.value());
  duckdb_append_int64(appender, facts.partition.value());
  duckdb_append_int64(appender, bigint_of(facts.seq.value()));
  duckdb_append_int64(appender, facts.known_at.value());
  const std::string_view status = name_of(facts.status);
  duckdb_append_varchar_length(appender, status.data(), status.size());
}

}  // namespace

struct Engine::Handles {
  duckdb_database database = nullptr;
  duckdb_connection connection = nullptr;
  ~Handles() {
    duckdb_disconnect(&connection);
    duckdb_close(&database);
  }
  Result<void> append(std::string_view table, const schema::Batch& rows,
                      const std::vector<schema::EventFacts>* facts);
};

Engine::Engine(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const Limits& limits) {
  auto handles = std::make_unique<Handles>();
  if (duckdb_open(nullptr, &handles->database) != DuckDBSuccess ||
      duckdb_connect(handles->database, &handles->connection) != DuckDBSuccess)
    return Error{ErrorCode::kUnavailable, "DuckDB does not start", "", "run ./dev setup again"};
  std::unique_ptr<Engine> engine(new Engine(std::move(handles)));
  QW_TRY(engine->run(fmt::format("set memory_limit = '{}MB'; set threads = {}", limits.memory_mb,
                                 limits.threads)));
  QW_TRY(engine->run(prelude()));
  return engine;
}

Result<void> Engine::run(const std::string& sql) {
  ResultGuard guard;
  if (duckdb_query(handles_->connection, sql.c_str(), &guard.result) == DuckDBSuccess) return {};
  return engine_error(duckdb_result_error(&guard.result));
}

Result<void> Engine::Handles::append(std::string_view table, const schema::Batch& rows,
                                     const std::vector<schema::EventFacts>* facts) {
  AppenderGuard guard;
  const std::string name(table);
  if (duckdb_appender_create(connection, nullptr, name.c_str(), &guard.appender) != DuckDBSuccess)
    return engine_error(duckdb_appender_error(guard.appender));
  for (size_t row = 0; row < rows.rows(); ++row) {
    for (const schema::Column& column : rows.columns()) append_cell_to(guard.appender, column, row);
    if (facts != nullptr) append_facts(guard.appender, (*facts)[row]);
    if (duckdb_appender_end_row(guard.appender) != DuckDBSuccess)
      return engine_error(duckdb_appender_error(guard.appender));
  }
  if (duckdb_appender_close(guard.appender) != DuckDBSuccess)
    return engine_error(duckdb_appender_error(guard.appender));
  return {};
}

Result<void> Engine::load(std::string_view table, const schema::Batch& rows) {
  QW_TRY(run(create_table(table, rows.schema(), false)));
  return handles_->append(table, rows, nullptr);
}

Result<void> Engine::load_events(std::string_view table, const schema::EventBatch& events) {
  QW_TRY(run(create_table(table, events.rows.schema(), true)));
  return handles_->append(table, events.rows, &events.facts);
}

Result<schema::Batch> Engine::query(const std::string& sql,
                                    const std::shared_ptr<const schema::Schema>& schema) {
  ResultGuard guard;
  if (duckdb_query(handles_->connection, sql.c_str(), &guard.result) != DuckDBSuccess)
    return engine_error(duckdb_result_error(&guard.result));
  if (duckdb_column_count(&guard.result) != schema->size())
    return Error{ErrorCode::kInternal, "DuckDB returns another number of columns", "", ""};
  for (size_t i = 0; i < schema->size(); ++i)
    if (duckdb_column_type(&guard.result, i) != wire_type(schema->field(i).type.kind))
      return Error{ErrorCode::kInternal,
                   fmt::format("DuckDB returns another type for {}", schema->field(i).name), "",
                   ""};
  schema::Batch batch(schema);
  while (true) {
    ChunkGuard chunk{duckdb_fetch_chunk(guard.result)};
    if (chunk.chunk == nullptr) return batch;
    const idx_t rows = duckdb_data_chunk_get_size(chunk.chunk);
    for (size_t i = 0; i < schema->size(); ++i) {
      const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.chunk, i);
      for (idx_t row = 0; row < rows; ++row) read_into(vector, row, batch.column(i));
    }
  }
}

}  // namespace qw::features::duckdb
