#include "models/internal/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/full_disk.h"
#include "store/data_folder.h"

namespace qw::models::internal {

Error damaged(const std::string& what) {
  return {ErrorCode::kCorrupt, what, "registry.sqlite", store::kMendDamage};
}

Error sqlite_error(sqlite3* database, int code) {
  const std::string what = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kUnavailable, "the registry is locked by another process",
              "registry.sqlite", "try again"};
    case SQLITE_FULL:
      return {ErrorCode::kExhausted, "the disk is full", "registry.sqlite", "free some space"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return damaged(fmt::format("the registry is damaged: {}", what));
    default: break;
  }
  const int number = database != nullptr ? sqlite3_system_errno(database) : 0;
  if (means_full_disk(number))
    return {ErrorCode::kExhausted, fmt::format("the disk is full: {}", what), "registry.sqlite",
            "free some space"};
  return {ErrorCode::kIo, fmt::format("the registry refused: {}", what), "registry.sqlite",
          "check that this user may read and write registry.sqlite and the data folder"};
}

Statement::Statement(sqlite3* database, const char* sql, const std::vector<Parameter>& parameters)
    : database_(database) {
  code_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
  for (size_t index = 0; index < parameters.size() && code_ == SQLITE_OK; ++index) {
    const int position = static_cast<int>(index) + 1;
    if (const auto* number = std::get_if<int64_t>(&parameters[index]))
      code_ = sqlite3_bind_int64(statement_, position, *number);
    else
      code_ =
          sqlite3_bind_text(statement_, position, std::get<std::string>(parameters[index]).c_str(),
                            -1, SQLITE_TRANSIENT);
  }
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Result<bool> Statement::step() {
  if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
  const int code = code_;
  if (code == SQLITE_ROW) {
    code_ = SQLITE_OK;
    return true;
  }
  if (code == SQLITE_DONE) return false;
  return sqlite_error(database_, code);
}

int Statement::columns() const { return sqlite3_column_count(statement_); }

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes == nullptr ? std::string() : std::string(bytes);
}

Result<void> run(sqlite3* database, const char* sql, const std::vector<Parameter>& parameters) {
  Statement statement(database, sql, parameters);
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return {};
  }
}

}  // namespace qw::models::internal
