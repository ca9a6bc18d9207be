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

// Creates `folder`/db when it is absent (whole or not at all), and opens it.
Result<Database> open_database(const StoreOptions& options);

// Our error for RocksDB's.
Error error_of(const rocksdb::Status& status, const std::string& doing, const std::string& where);

}  // namespace qw::store::internal
