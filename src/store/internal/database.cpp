#include "store/internal/database.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/system_clock.h>
#include <rocksdb/table.h>
#include <rocksdb/wal_filter.h>
#include <rocksdb/write_batch.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "store/data_folder.h"
#include "store/internal/log_order.h"

namespace qw::store::internal {
namespace {

// RocksDB's own recovery from a full disk works on threads of its own and does not free the log
// (see Store::Impl::reopen): the next commit opens the database anew instead.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

// RocksDB waits (a second after each failed flush) by the clock the store was given.
class WaitsByClock final : public rocksdb::SystemClockWrapper {
 public:
  explicit WaitsByClock(const Clock& clock)
      : SystemClockWrapper(rocksdb::SystemClock::Default()), clock_(clock) {}
  const char* Name() const override { return "WaitsByClock"; }
  void SleepForMicroseconds(int duration_us) override { clock_.sleep_us(duration_us); }

 private:
  const Clock& clock_;
};

// The world as the store's options give it.
class StoreEnv final : public rocksdb::EnvWrapper {
 public:
  explicit StoreEnv(const StoreOptions& options) : StoreEnv(options, files_of(options)) {}
  const char* Name() const override { return "StoreEnv"; }

 private:
  StoreEnv(const StoreOptions& options, const std::shared_ptr<rocksdb::FileSystem>& files)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;
    system_clock_ =
        std::make_shared<WaitsByClock>(options.clock != nullptr ? *options.clock : real_clock());
  }
  static std::shared_ptr<rocksdb::FileSystem> files_of(const StoreOptions& options) {
    return with_logs_in_order(options.file_system != nullptr ? options.file_system
                                                             : rocksdb::FileSystem::Default());
  }
};

// A batch begins with the number of its first change and how many it has (see RocksDB's
// write_batch.cc).
struct Changes {
  explicit Changes(const rocksdb::WriteBatch& batch) {
    uint32_t count = 0;
    std::memcpy(&first, batch.Data().data(), sizeof first);
    std::memcpy(&count, batch.Data().data() + sizeof first, sizeof count);
    last = first + count - 1;
  }
  uint64_t first = 0;
  uint64_t last = 0;
};

// Sees what the logs hold that can still be read, and keeps it out of memory.
class LooksAtLogs final : public rocksdb::WalFilter {
 public:
  const char* Name() const override { return "LooksAtLogs"; }
  WalProcessingOption LogRecordFound(unsigned long long, const std::string& file,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch*,
                                     bool*) override {
    const Changes changes(batch);
    if (first == 0) first = changes.first;
    hole = hole || (last > 0 && changes.first > last + 1);
    if (!hole) {
      last = changes.last;
      log_file = file;
    }
    return WalProcessingOption::kIgnoreCurrentRecord;
  }
  uint64_t first = 0;  // 0: none was seen
  uint64_t last = 0;
  bool hole = false;
  std::string log_file;
};

// Leaves out what comes after a hole.
class EndsAt final : public rocksdb::WalFilter {
 public:
  explicit EndsAt(uint64_t last) : last_(last) {}
  const char* Name() const override { return "EndsAt"; }
  WalProcessingOption LogRecordFound(unsigned long long, const std::string&,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch*,
                                     bool*) override {
    return Changes(batch).last > last_ ? WalProcessingOption::kStopReplay
                                       : WalProcessingOption::kContinueProcessing;
  }

 private:
  const uint64_t last_;
};

// RocksDB's own notes are for who runs it, not for who looks at it.
class Quiet final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::DBOptions database_options(const StoreOptions& options, rocksdb::Env* env) {
  rocksdb::DBOptions db;
  db.env = env;
  db.listeners.push_back(std::make_shared<NoRecovery>());
  db.db_write_buffer_size = options.write_buffer_bytes;
  // Bounds what a start must read back; a family that is seldom written is flushed by it.
  db.max_total_wal_size = 4 * options.write_buffer_bytes;
  db.max_background_jobs = 2;
  db.max_open_files = options.max_open_files;
  // Opened by several threads, it aborts the process where the machine refuses one of them.
  db.max_file_opening_threads = 1;
  // Every change to the list of files makes a new list, which is synced before it counts. Appended
  // to the old one, it could be torn by a power cut, and RocksDB then refuses to open.
  db.max_manifest_file_size = 1;
  db.bytes_per_sync = 1u << 20;  // spreads the writing of table files
  db.keep_log_file_num = 2;
  db.max_log_file_size = 1u << 20;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  // A log that a crash tore is read up to the tear; what must be there says EndMark.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // The list of files names each log that was followed by another: one that is gone is noticed.
  db.track_and_verify_wals_in_manifest = !options.accept_loss;
  return db;
}

rocksdb::ColumnFamilyOptions family_options(Family family, const StoreOptions& options,
                                            rocksdb::BlockBasedTableOptions table) {
  rocksdb::ColumnFamilyOptions cf;
  // Event ids are looked for here, and most of them are new.
  if (family == Family::kMeta) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  cf.write_buffer_size = options.write_buffer_bytes / 2;
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  cf.compression = rocksdb::kLZ4Compression;
  cf.level_compaction_dynamic_level_bytes = true;
  if (family == Family::kMeta || family == Family::kOutbox)
    cf.write_buffer_size = std::max<size_t>(options.write_buffer_bytes / 8, 64u << 10);
  if (family == Family::kLog) {
    // Rows of a log are never overwritten and soon trimmed: merging them often only costs.
    cf.level0_file_num_compaction_trigger = 12;
    cf.level0_slowdown_writes_trigger = 32;
    cf.level0_stop_writes_trigger = 48;
  }
  return cf;
}

rocksdb::Status close_all(rocksdb::DB& db, std::vector<rocksdb::ColumnFamilyHandle*>& handles) {
  for (auto* handle : handles) db.DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  return db.Close();
}

// A database is made beside its place and then moved there, so that a crash in between leaves none:
// its column families always have the ids of Family.
rocksdb::Status create(const rocksdb::DBOptions& options,
                       const std::vector<rocksdb::ColumnFamilyDescriptor>& families,
                       const std::string& path) {
  const std::string making = path + ".creating";
  rocksdb::DestroyDB(making, rocksdb::Options(options, families.front().options))
      .PermitUncheckedError();
  rocksdb::DBOptions creating = options;
  creating.create_if_missing = true;
  creating.create_missing_column_families = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(creating, making, families, &handles, &raw);
  if (!status.ok()) return status;
  std::unique_ptr<rocksdb::DB> db(raw);
  status = close_all(*db, handles);
  if (!status.ok()) return status;
  db.reset();
  auto& files = *options.env->GetFileSystem();
  const rocksdb::IOOptions io;
  status = files.RenameFile(making, path, io, nullptr);
  if (!status.ok()) return status;
  std::unique_ptr<rocksdb::FSDirectory> parent;
  status = files.NewDirectory(path.substr(0, path.rfind('/')), io, &parent, nullptr);
  return status.ok() ? parent->Fsync(io, nullptr) : status;
}

}  // namespace

void Database::close() {
  if (db == nullptr) return;
  for (auto*& handle : families) {
    if (handle != nullptr) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    handle = nullptr;
  }
  db->Close().PermitUncheckedError();
  db.reset();
  env.reset();
}

namespace {

std::vector<rocksdb::ColumnFamilyDescriptor> families_of(const StoreOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  constexpr int kCacheShardBits = 4;  // many would be too small for what must stay
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
  table.block_size = 8u << 10;
  table.format_version = 5;
  // Inside the cache's limit, so that memory stays bounded whatever the size of the data; in parts,
  // because the index of a large file as a whole is larger than what the cache keeps of it, and
  // would be read and decompressed for every row.
  table.cache_index_and_filter_blocks = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 4u << 10;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (size_t i = 0; i < kFamilies; ++i)
    families.emplace_back(std::string(kFamilyNames[i]),
                          family_options(static_cast<Family>(i), options, table));
  return families;
}

// The database as it lies there; nothing is written.
Result<Database> open_to_look(const StoreOptions& options, rocksdb::WalFilter* filter) {
  Database opened;
  opened.env = std::make_unique<StoreEnv>(options);
  rocksdb::DBOptions looking = database_options(options, opened.env.get());
  looking.info_log = std::make_shared<Quiet>();
  looking.track_and_verify_wals_in_manifest = true;  // to forget it, RocksDB would write
  looking.wal_filter = filter;
  const std::string path = options.folder + "/db";
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::OpenForReadOnly(looking, path, families_of(options), &handles, &raw);
  if (!status.ok()) return error_of(status, "cannot open the database", path);
  opened.db.reset(raw);
  std::copy(handles.begin(), handles.end(), opened.families.begin());
  return opened;
}

}  // namespace

Result<Ends> examine_database(const StoreOptions& options) {
  LooksAtLogs logs;
  QW_ASSIGN(const Database opened, open_to_look(options, &logs));
  const uint64_t in_tables = opened.db->GetLatestSequenceNumber();
  if (logs.first > in_tables + 1) return Ends{in_tables, "", true};
  return Ends{std::max(in_tables, logs.last), logs.log_file, logs.hole};
}

Result<Database> open_to_read(const StoreOptions& options) {
  return open_to_look(options, nullptr);
}

Result<Database> open_database(const StoreOptions& options, uint64_t up_to) {
  Database opened;
  opened.env = std::make_unique<StoreEnv>(options);
  rocksdb::DBOptions db_options = database_options(options, opened.env.get());
  EndsAt ends_at(up_to);
  if (up_to < UINT64_MAX) db_options.wal_filter = &ends_at;  // asked while it is opened
  const auto families = families_of(options);
  const std::string path = options.folder + "/db";
  rocksdb::Env* env = db_options.env;
  // Merging may wait; an event may not.
  env->LowerThreadPoolCPUPriority(rocksdb::Env::Priority::LOW, rocksdb::CpuPriority::kLow);
  rocksdb::Status status = env->FileExists(path);
  if (status.IsNotFound()) status = create(db_options, families, path);
  if (!status.ok()) return error_of(status, "cannot create the database", path);

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  status = rocksdb::DB::Open(db_options, path, families, &handles, &raw);
  if (status.IsCorruption() && options.accept_loss) {
    // A family was written to a table after what is lost: there is no one moment to go back to.
    db_options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
    status = rocksdb::DB::Open(db_options, path, families, &handles, &raw);
  }
  if (!status.ok()) return error_of(status, "cannot open the database", path);
  opened.db.reset(raw);
  for (size_t i = 0; i < kFamilies; ++i) {
    opened.families[i] = handles[i];
    if (handles[i]->GetID() != i)
      return Error{ErrorCode::kCorrupt,
                   fmt::format("column family {} has id {}", kFamilyNames[i], handles[i]->GetID()),
                   path, "restore the folder from a copy"};
  }
  return opened;
}

Error error_of(const rocksdb::Status& status, const std::string& doing, const std::string& where) {
  const std::string message = fmt::format("{}: {}", doing, status.ToString());
  // RocksDB knows ENOSPC alone; of other limits it keeps the words.
  const bool beyond_a_limit = message.find(std::strerror(EDQUOT)) != std::string::npos ||
                              message.find(std::strerror(EFBIG)) != std::string::npos;
  if (status.IsNoSpace() || status.IsMemoryLimit() || beyond_a_limit ||
      status.subcode() == rocksdb::Status::SubCode::kNoSpace)
    return Error{ErrorCode::kExhausted, message, where,
                 "free some disk space, or raise the limit (quota, `ulimit -f`); writing goes on "
                 "by itself"};
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound())
    return Error{ErrorCode::kCorrupt, message, where,
                 "`quickwater doctor --data DIR` says what is whole; restore the folder from a "
                 "copy, or move it away and start with an empty one (sources that can be read "
                 "again are then read from their beginning)"};
  return Error{ErrorCode::kIo, message, where,
               "check the disk and that this user may write the data folder"};
}

}  // namespace qw::store::internal
