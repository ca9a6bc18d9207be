// Aim: RocksDB and SQLite keep what they were given across a close. Method: write, close, open
// again, read.
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

namespace {

std::unique_ptr<rocksdb::DB> open_rocksdb(const std::filesystem::path& folder) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, folder.string(), &opened);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return std::unique_ptr<rocksdb::DB>(opened);
}

std::filesystem::path fresh_folder(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

TEST(Toolchain, RocksDbKeepsABatchAcrossAClose) {
  const std::filesystem::path folder = fresh_folder("qw_toolchain_rocksdb");
  {
    const auto db = open_rocksdb(folder);
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch.Put("a", "1").ok());
    ASSERT_TRUE(batch.Put("b", "2").ok());
    rocksdb::WriteOptions durable;
    durable.sync = true;
    ASSERT_TRUE(db->Write(durable, &batch).ok());
  }
  const auto db = open_rocksdb(folder);
  std::string value;
  ASSERT_TRUE(db->Get(rocksdb::ReadOptions(), "b", &value).ok());
  EXPECT_EQ(value, "2");
}

int count_rows(void* count, int, char**, char**) {
  ++*static_cast<int*>(count);
  return 0;
}

TEST(Toolchain, SqliteKeepsARowAcrossAClose) {
  const std::string file = (fresh_folder("qw_toolchain_sqlite") / "registry.db").string();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db, "create table t(x); insert into t values (7)", nullptr, nullptr, nullptr),
      SQLITE_OK);
  ASSERT_EQ(sqlite3_close(db), SQLITE_OK);
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  int rows = 0;
  EXPECT_EQ(sqlite3_exec(db, "select x from t where x = 7", count_rows, &rows, nullptr), SQLITE_OK);
  EXPECT_EQ(rows, 1);
  EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
}

}  // namespace
