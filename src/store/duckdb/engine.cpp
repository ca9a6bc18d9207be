#include "store/duckdb/engine.h"

#include <duckdb.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "base/guard.h"
#include "base/utf8.h"

namespace qw::store::duckdb {
namespace {

using schema::Kind;

struct ResultGuard {
  duckdb_result result{};
  ~ResultGuard() { duckdb_destroy_result(&result); }
};
struct ConfigGuard {
  duckdb_config config = nullptr;
  ~ConfigGuard() { duckdb_destroy_config(&config); }
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
  if (text.find("No space left on device") != std::string::npos ||
      text.find("Disk quota exceeded") != std::string::npos)
    return Error{ErrorCode::kExhausted, "the disk is full", "",
                 "free some disk space; writing goes on by itself"};
  const auto refused = [&](std::string_view words, const char* how_to_mend) {
    if (text.find(words) == std::string::npos) return std::optional<Error>();
    return std::optional(
        Error{ErrorCode::kExhausted, "the machine refused: " + text, "", how_to_mend});
  };
  if (auto error = refused("File too large", "allow larger files (ulimit -f)")) return *error;
  if (auto error = refused("Too many open files", "allow more open files (ulimit -n)"))
    return *error;
  if (auto error = refused("Cannot allocate memory", "give the process more memory")) return *error;
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

// DuckDB stops at text that is not UTF-8: what is not becomes U+FFFD.
std::string clean_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text.substr(at));
    if (length == 0)
      clean += "\xEF\xBF\xBD";
    else
      clean.append(text.substr(at, length));
    at += std::max<size_t>(1, length);
  }
  return clean;
}

void append_text(duckdb_appender appender, std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text.substr(at));
    if (length == 0) {
      const std::string clean = clean_text(text);
      duckdb_append_varchar_length(appender, clean.data(), clean.size());
      return;
    }
    at += length;
  }
  duckdb_append_varchar_length(appender, text.data(), text.size());
}

enum class Times : uint8_t { kMicros, kTimestamps };

void append_cell_to(duckdb_appender appender, const schema::Column& column, size_t row,
                    Times times) {
  if (!column.valid(row)) {
    duckdb_append_null(appender);
    return;
  }
  switch (column.type().kind) {
    case Kind::kBool: duckdb_append_bool(appender, column.int_at(row) != 0); return;
    case Kind::kDouble: duckdb_append_double(appender, column.double_at(row)); return;
    case Kind::kDecimal: append_decimal(appender, column.int_at(row), column.type()); return;
    case Kind::kString: append_text(appender, column.string_at(row)); return;
    case Kind::kTimestamp:
      if (times == Times::kTimestamps) {
        duckdb_append_timestamp(appender, {column.int_at(row)});
        return;
      }
      [[fallthrough]];
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

bool is_number(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
    case DUCKDB_TYPE_DECIMAL: return true;
    default: return false;
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

std::string create_table(std::string_view table, const schema::Schema& schema, Times times,
                         std::string_view further) {
  std::string sql = fmt::format("create or replace table {} (", quoted(table));
  for (size_t i = 0; i < schema.size(); ++i) {
    const schema::Type& type = schema.field(i).type;
    sql += fmt::format("{}{} {}", i == 0 ? "" : ", ", quoted(schema.field(i).name),
                       times == Times::kMicros ? type_name_in_micros(type) : type_name(type));
  }
  return fmt::format("{}{})", sql, further);
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
  // `further` appends what comes after the batch's columns.
  template <class Further>
  Result<void> append(std::string_view table, const schema::Batch& rows, Times times,
                      const Further& further);
  Result<schema::Batch> query(const std::string& sql,
                              const std::shared_ptr<const schema::Schema>& schema);
  Result<void> each_record(const std::string& sql, const RecordVisitor& visit);
  Result<Answer> ask(const std::string& sql);
};

// The C interface throws where it has no state to put an error into.
template <class Work>
auto held(const Work& work) {
  return guarded("DuckDB", work);
}

// Where the machine refuses it a descriptor, DuckDB ends the process while it opens: it throws in
// the destructor of what it has made so far. So they are asked for before, and given back.
Result<void> require_descriptors() {
  constexpr int kNeeded = 4;
  std::array<int, kNeeded> held_back{};
  for (int& descriptor : held_back) descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int reason = errno;
  for (const int descriptor : held_back)
    if (descriptor >= 0) ::close(descriptor);
  if (held_back.back() >= 0) return {};
  return Error{ErrorCode::kExhausted, std::string("the machine refused: ") + std::strerror(reason),
               "DuckDB", "allow more open files (ulimit -n)"};
}

Engine::Engine(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const Limits& limits) {
  auto handles = std::make_unique<Handles>();
  QW_TRY(require_descriptors());
  QW_TRY(held([&]() -> Result<void> {
    // One thread: as many as the machine has processors would begin before they are told to be few.
    ConfigGuard config;
    if (duckdb_create_config(&config.config) == DuckDBSuccess &&
        duckdb_set_config(config.config, "threads", "1") == DuckDBSuccess &&
        duckdb_open_ext(nullptr, &handles->database, config.config, nullptr) == DuckDBSuccess &&
        duckdb_connect(handles->database, &handles->connection) == DuckDBSuccess)
      return {};
    return Error{ErrorCode::kUnavailable, "DuckDB does not start", "", "run ./dev setup again"};
  }));
  std::unique_ptr<Engine> engine(new Engine(std::move(handles)));
  QW_TRY(
      engine->run(fmt::format("set memory_limit = '{}MB'; set threads = {}; "
                              "set temp_directory = ''",
                              limits.memory_mb, limits.threads)));
  return engine;
}

Result<void> Engine::run(const std::string& sql) {
  return held([&]() -> Result<void> {
    ResultGuard guard;
    if (duckdb_query(handles_->connection, sql.c_str(), &guard.result) == DuckDBSuccess) return {};
    return engine_error(duckdb_result_error(&guard.result));
  });
}

template <class Further>
Result<void> Engine::Handles::append(std::string_view table, const schema::Batch& rows, Times times,
                                     const Further& further) {
  AppenderGuard guard;
  const std::string name(table);
  if (duckdb_appender_create(connection, nullptr, name.c_str(), &guard.appender) != DuckDBSuccess)
    return engine_error(duckdb_appender_error(guard.appender));
  for (size_t row = 0; row < rows.rows(); ++row) {
    for (const schema::Column& column : rows.columns())
      append_cell_to(guard.appender, column, row, times);
    further(guard.appender, row);
    if (duckdb_appender_end_row(guard.appender) != DuckDBSuccess)
      return engine_error(duckdb_appender_error(guard.appender));
  }
  if (duckdb_appender_close(guard.appender) != DuckDBSuccess)
    return engine_error(duckdb_appender_error(guard.appender));
  return {};
}

Result<void> Engine::load(std::string_view table, const schema::Batch& rows) {
  QW_TRY(run(create_table(table, rows.schema(), Times::kMicros, "")));
  return held([&] {
    return handles_->append(table, rows, Times::kMicros, [](duckdb_appender, size_t) {});
  });
}

Result<void> Engine::load_events(std::string_view table, const schema::EventBatch& events) {
  QW_TRY(run(create_table(
      table, events.rows.schema(), Times::kMicros,
      ", event_time bigint, partition bigint, seq bigint, known_at bigint, status varchar")));
  return held([&] {
    return handles_->append(
        table, events.rows, Times::kMicros,
        [&](duckdb_appender appender, size_t row) { append_facts(appender, events.facts[row]); });
  });
}

Result<void> Engine::load_records(std::string_view table, const schema::Batch& rows,
                                  const std::vector<Seq>& seqs,
                                  const std::vector<std::string>& records) {
  QW_ASSERT(rows.rows() == seqs.size() && seqs.size() == records.size());
  QW_TRY(run(create_table(table, rows.schema(), Times::kTimestamps, ", seq bigint, record blob")));
  return held([&] {
    return handles_->append(
        table, rows, Times::kTimestamps, [&](duckdb_appender appender, size_t row) {
          duckdb_append_int64(appender, bigint_of(seqs[row].value()));
          duckdb_append_blob(appender, records[row].data(), records[row].size());
        });
  });
}

Result<schema::Batch> Engine::query(const std::string& sql,
                                    const std::shared_ptr<const schema::Schema>& schema) {
  return held([&] { return handles_->query(sql, schema); });
}

Result<schema::Batch> Engine::Handles::query(const std::string& sql,
                                             const std::shared_ptr<const schema::Schema>& schema) {
  ResultGuard guard;
  if (duckdb_query(connection, sql.c_str(), &guard.result) != DuckDBSuccess)
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

Result<void> Engine::each_record(const std::string& sql, const RecordVisitor& visit) {
  return held([&] { return handles_->each_record(sql, visit); });
}

Result<void> Engine::Handles::each_record(const std::string& sql, const RecordVisitor& visit) {
  ResultGuard guard;
  if (duckdb_query(connection, sql.c_str(), &guard.result) != DuckDBSuccess)
    return engine_error(duckdb_result_error(&guard.result));
  if (duckdb_column_count(&guard.result) != 2 ||
      duckdb_column_type(&guard.result, 0) != DUCKDB_TYPE_BIGINT ||
      duckdb_column_type(&guard.result, 1) != DUCKDB_TYPE_BLOB)
    return Error{ErrorCode::kCorrupt, "it has no columns seq and record", "", ""};
  while (true) {
    const ChunkGuard chunk{duckdb_fetch_chunk(guard.result)};
    if (chunk.chunk == nullptr) return {};
    const duckdb_vector seqs = duckdb_data_chunk_get_vector(chunk.chunk, 0);
    const duckdb_vector records = duckdb_data_chunk_get_vector(chunk.chunk, 1);
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk.chunk); ++row) {
      const int64_t seq = static_cast<const int64_t*>(duckdb_vector_get_data(seqs))[row];
      duckdb_string_t bytes =
          static_cast<const duckdb_string_t*>(duckdb_vector_get_data(records))[row];
      if (!visit(Seq{static_cast<uint64_t>(seq)},
                 {duckdb_string_t_data(&bytes), duckdb_string_t_length(bytes)}))
        return {};
    }
  }
}

Result<Answer> Engine::ask(const std::string& sql) {
  return held([&] { return handles_->ask(sql); });
}

Result<Answer> Engine::Handles::ask(const std::string& sql) {
  ResultGuard guard;
  if (duckdb_query(connection, sql.c_str(), &guard.result) != DuckDBSuccess)
    return engine_error(duckdb_result_error(&guard.result));
  Answer answer;
  const idx_t columns = duckdb_column_count(&guard.result);
  for (idx_t column = 0; column < columns; ++column)
    answer.columns.push_back({duckdb_column_name(&guard.result, column),
                              is_number(duckdb_column_type(&guard.result, column))});
  const idx_t rows = duckdb_row_count(&guard.result);
  for (idx_t row = 0; row < rows; ++row) {
    auto& cells = answer.rows.emplace_back();
    for (idx_t column = 0; column < columns; ++column) {
      char* const text = duckdb_value_varchar(&guard.result, column, row);
      cells.push_back(text == nullptr ? std::nullopt : std::optional<std::string>(text));
      duckdb_free(text);
    }
  }
  return answer;
}

std::string quoted(std::string_view identifier) {
  std::string text = "\"";
  for (const char c : identifier) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + "\"";
}

std::string quoted_text(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) literal += c == '\'' ? "''" : std::string(1, c);
  return literal + "'";
}

std::string type_name_in_micros(const schema::Type& type) {
  return type.kind == Kind::kTimestamp ? "bigint" : type_name(type);
}

std::string type_name(const schema::Type& type) {
  switch (type.kind) {
    case Kind::kBool: return "boolean";
    case Kind::kDouble: return "double";
    case Kind::kString: return "varchar";
    case Kind::kDecimal: return fmt::format("decimal({},{})", type.precision, type.scale);
    case Kind::kTimestamp: return "timestamp";
    default: return "bigint";
  }
}

}  // namespace qw::store::duckdb
