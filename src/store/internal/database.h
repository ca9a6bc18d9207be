// Opening the RocksDB database of a data folder with our column families and settings.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <memory>
#include <string>

#include "store/internal/keys.h"
#include "store/store.h"

namespace qw::store::internal {

// An open database and its column families, by Family. Owns both; closes in the right order.
struct Database {
  std::unique_ptr<rocksdb::Env> env;  // outlives the database
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families{};

  Database() = default;
  Database(Database&& other) noexcept = default;
  // Only into a closed one.
  Database& operator=(Database&& other) noexcept = default;
  ~Database() { close(); }
  void close();
  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return families[static_cast<size_t>(family)];
  }
};

// What there is of a database, read without changing anything. A value.
struct Ends {
  uint64_t last = 0;     // the last change before which none is missing
  std::string log_file;  // where that was read, or empty: all of it lies in tables
  bool hole = false;     // there are changes after it, but not the next one
};
// Of `folder`/db. kCorrupt: RocksDB itself misses something.
Result<Ends> examine_database(const StoreOptions& options);

// Creates `folder`/db when it is absent (whole or not at all), and opens it. Changes after
// `up_to` are left out for good.
Result<Database> open_database(const StoreOptions& options, uint64_t up_to = UINT64_MAX);
// As it lies there; nothing is written, and nothing can be.
Result<Database> open_to_read(const StoreOptions& options);

// Our error for RocksDB's.
Error error_of(const rocksdb::Status& status, const std::string& doing, const std::string& where);

}  // namespace qw::store::internal
