// The data folder around the database: who holds it, and system calls on its files.
#pragma once

#include <string>

#include "base/result.h"

namespace qw::store::internal {

// Holds a data folder for this process (flock on `LOCK`, which names the holder's pid). Released
// when destroyed or when the process ends in any way.
class FolderLock {
 public:
  // Creates the folder if needed. kConflict names the holder's process; kIo when the folder cannot
  // be made or written.
  static Result<FolderLock> take(const std::string& folder);
  // For who only reads: keeps others from taking it, changes nothing. A folder without `LOCK` is
  // held by nobody.
  static Result<FolderLock> look(const std::string& folder);
  FolderLock() = default;
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

 private:
  int file_ = -1;
};

// The error of a failed system call on `path` (errno); kExhausted when the disk is full.
Error system_error(const std::string& what, const std::string& path, int error_number);
// Makes creations, renames and removals in a folder survive a power cut.
Result<void> sync_folder(const std::string& folder);
// Makes a file's bytes survive a power cut.
Result<void> sync_file(const std::string& path);

}  // namespace qw::store::internal
