// The registry's file: its tables, the seal over what they hold, and the way there from older ones.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "models/internal/sqlite.h"

namespace qw::models::internal {

constexpr int64_t kSchemaVersion = 3;  // 1: without a seal; 2: without the roles of aliases

// Takes the write lock at once and seals what was written; rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(sqlite3* database) : database_(database) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Result<void> begin();
  Result<void> commit();

 private:
  sqlite3* database_;
  bool open_ = false;
};

// A line of the history, in the transaction that is open.
Result<void> add_event(sqlite3* database, int64_t at_us, const std::string& model, int64_t version,
                       const std::string& kind, const std::string& detail);

// 0: there are no tables.
Result<int64_t> schema_version(sqlite3* database);

// Makes the tables, or brings those of an older version up to date, in one transaction.
Result<void> bring_up_to_date(sqlite3* database);

// SQLite's own structures, the seal (from version 2 on), and that no package was forgotten: a
// version's number is reserved before its package is written. `packages`: the highest number of
// each model, listed before.
Result<void> verify(sqlite3* database, const std::map<std::string, int64_t>& packages);

}  // namespace qw::models::internal
