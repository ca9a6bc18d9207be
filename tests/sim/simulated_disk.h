// A disk that forgets: what a power cut takes away from everything that was not synced.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"

namespace qw::sim {

// A RocksDB file system over a real folder. Writes go through at once, and the disk remembers what
// a sync has made safe: bytes of a file (its Sync), names in a folder (the folder's Fsync). At a
// power cut each file keeps its synced bytes and a seeded part of the rest, in which sectors may be
// missing; creations, renames and removals since their folder's sync are kept up to a seeded
// moment, in order, and undone after it. A file written behind the disk's back (by another library)
// counts as not synced until somebody syncs it here.
//
// Any thread, as RocksDB wants. Deterministic for the same calls in the same order; RocksDB's
// background threads may interleave differently from run to run.
class SimulatedDisk final : public rocksdb::FileSystemWrapper {
 public:
  enum class Crash {
    kProcess,   // kill -9: what was written stays
    kPowerCut,  // only what was synced is sure to stay
  };

  // `folder` exists, and everything on this disk is below it.
  SimulatedDisk(std::string folder, uint64_t seed);
  const char* Name() const override { return "SimulatedDisk"; }

  // The disk dies at the `operations`-th write, sync, rename or removal from now, half-way through
  // it. After that nothing changes and every change fails, until power_on().
  void die_after(uint64_t operations);
  void die_now();
  // The disk dies right after the first write to the next file `*.log` that is created, and a power
  // cut then keeps that file and every name: a disk may write back the newest first.
  void die_in_next_log();
  // The disk dies right after the next write to the database's list of files (`MANIFEST-*`). A
  // power cut then keeps every name and that file's length, but of what was not synced only the
  // first sector: sectors reach a disk in any order.
  void die_in_manifest();
  bool dead() const;
  // Call with no file open. Applies what the crash does and lets the disk work again.
  void power_on(Crash crash);

  // From now on this many more bytes fit; removals give nothing back.
  void limit_space(uint64_t free_bytes);
  void lift_space_limit();

  uint64_t operations() const;

  // For files and folders of this disk.
  rocksdb::IOStatus append(const std::string& path, rocksdb::FSWritableFile& file,
                           const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context);
  rocksdb::IOStatus sync_file(const std::string& path, rocksdb::FSWritableFile& file,
                              const rocksdb::IOOptions& options, rocksdb::IODebugContext* context);
  rocksdb::IOStatus sync_folder(const std::string& path);
  rocksdb::IOStatus truncate(const std::string& path, rocksdb::FSWritableFile& file, uint64_t size,
                             const rocksdb::IOOptions& options, rocksdb::IODebugContext* context);

  // rocksdb::FileSystem
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* folder,
                                 rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* free_bytes, rocksdb::IODebugContext* context) override;

 private:
  // A change of names that is not synced yet, and how to undo it.
  struct NameChange {
    std::string folder;  // whose sync makes it safe
    std::string from;    // empty: creation of `to`
    std::string to;      // empty: removal of `from`
    std::string backup;  // what was there before under the removed or replaced name
  };

  rocksdb::IOStatus count_operation();  // under mutex_; fails when the disk is or becomes dead
  std::string set_aside(const std::string& path);
  void undo(const NameChange& change);
  void cut_file(const std::string& path, uint64_t cut_seed);
  static void zero(const std::string& path, uint64_t from, uint64_t to);
  void remember_rename(const std::string& from, const std::string& to);

  const std::string folder_;
  const std::string aside_;  // beside the folder: removed files that may come back
  mutable std::mutex mutex_;
  Random random_;
  std::map<std::string, uint64_t> synced_bytes_;  // of files that may lose something
  std::vector<NameChange> name_changes_;          // oldest first
  uint64_t set_aside_ = 0;
  uint64_t operations_ = 0;
  uint64_t dies_at_ = UINT64_MAX;
  bool dies_in_next_log_ = false;
  std::string fatal_log_;  // the first write to it is the last of all
  bool dies_in_manifest_ = false;
  std::string torn_file_;
  std::optional<uint64_t> free_bytes_;
};

}  // namespace qw::sim
