// SQLite, as far as the registry needs it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace qw::models::internal {

// kCorrupt, of the registry.
Error damaged(const std::string& what);
// What the database says went wrong; null: the code alone.
Error sqlite_error(sqlite3* database, int code);

using Parameter = std::variant<int64_t, std::string>;

// One prepared statement; finalised at the end of its scope. One thread.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql, const std::vector<Parameter>& parameters);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // True while there is a row.
  Result<bool> step();
  int columns() const;
  int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = 0;
};

Result<void> run(sqlite3* database, const char* sql, const std::vector<Parameter>& parameters = {});

}  // namespace qw::models::internal
