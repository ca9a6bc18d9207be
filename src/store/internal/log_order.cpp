#include "store/internal/log_order.h"

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

namespace qw::store::internal {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class LogFile;

// The log that was created last and is still open.
struct Newest {
  std::mutex mutex;
  LogFile* file = nullptr;
};

// Knows whether all of it is on disk: then a sync asks nothing of the disk. RocksDB syncs a log
// again that was synced when the next one began; on a disk that has died meanwhile that fails, and
// RocksDB 7.8, asked to sync a log whose last sync failed, ends the process (an assertion).
class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LogFile(std::shared_ptr<Newest> newest, std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), newest_(std::move(newest)) {}
  ~LogFile() override { leave(); }
  using FSWritableFileOwnerWrapper::Append;
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    const IOStatus done = target()->Append(data, options, context);
    unsynced_ = true;  // a sync that began before this may not cover it
    return done;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
    const IOStatus done = target()->Append(data, options, info, context);
    unsynced_ = true;
    return done;
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* context) override {
    unsynced_ = true;
    return target()->Truncate(size, options, context);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
    if (!unsynced_.exchange(false)) return IOStatus::OK();
    const IOStatus done = target()->Sync(options, context);
    if (!done.ok()) unsynced_ = true;
    return done;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return Sync(options, context);
  }
  // RocksDB closes a log only after it has synced it or no longer needs it.
  IOStatus Close(const IOOptions& options, IODebugContext* context) override {
    leave();
    return target()->Close(options, context);
  }

 private:
  void leave() {
    const std::lock_guard lock(newest_->mutex);
    if (newest_->file == this) newest_->file = nullptr;
  }
  std::shared_ptr<Newest> newest_;
  std::atomic<bool> unsynced_{true};  // a new file, too, is not on disk
};

class OrderedLogs final : public rocksdb::FileSystemWrapper {
 public:
  explicit OrderedLogs(const std::shared_ptr<rocksdb::FileSystem>& files)
      : FileSystemWrapper(files), newest_(std::make_shared<Newest>()) {}
  const char* Name() const override { return "OrderedLogs"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    if (!path.ends_with(".log")) return target()->NewWritableFile(path, options, file, context);
    const std::lock_guard lock(newest_->mutex);
    // Every write goes from RocksDB to the file before it returns, so a sync covers all of them.
    if (newest_->file != nullptr) {
      const IOStatus synced = newest_->file->Sync(options.io_options, context);
      if (!synced.ok()) return synced;
    }
    std::unique_ptr<rocksdb::FSWritableFile> made;
    const IOStatus created = target()->NewWritableFile(path, options, &made, context);
    if (!created.ok()) return created;
    auto log = std::make_unique<LogFile>(newest_, std::move(made));
    newest_->file = log.get();
    *file = std::move(log);
    return created;
  }

 private:
  std::shared_ptr<Newest> newest_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> with_logs_in_order(
    const std::shared_ptr<rocksdb::FileSystem>& files) {
  return std::make_shared<OrderedLogs>(files);
}

}  // namespace qw::store::internal
