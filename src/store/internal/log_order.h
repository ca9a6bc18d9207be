// A database log never reaches the disk before the one it follows.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace qw::store::internal {

// RocksDB begins a new log whenever it begins a new memory table, and until a flush runs the end of
// the old log may be unsynced while the new one grows. A power cut in between can keep the new
// log's first records and drop the old one's last: RocksDB 7.8 then replays both, a commit is
// missing in the middle, and nothing says so. This file system syncs the newest log (`*.log`) of
// the database before it creates the next.
//
// For the files of one database at a time. Any thread. A log that cannot be synced fails the
// creation of the next.
std::shared_ptr<rocksdb::FileSystem> with_logs_in_order(
    const std::shared_ptr<rocksdb::FileSystem>& files);

}  // namespace qw::store::internal
