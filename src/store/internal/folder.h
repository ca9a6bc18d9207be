// The data folder around the database: who holds it, and which format it is in.
#pragma once

#include <string>

#include "base/result.h"

namespace qw::store::internal {

// The version of everything stored below a data folder. Older versions are read or refused with the
// command that converts them; newer ones are refused.
constexpr int kFormatVersion = 1;

// Holds a data folder for this process (flock on `LOCK`, which names the holder's pid). Released
// when destroyed or when the process ends in any way.
class FolderLock {
 public:
  // Creates the folder if needed. kConflict names the holder's process; kIo when the folder cannot
  // be made or written.
  static Result<FolderLock> take(const std::string& folder);
  FolderLock() = default;
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

 private:
  int file_ = -1;
};

// Writes `FORMAT` into a new folder, durably; checks it in an old one. kUnsupported: a newer
// Quickwater wrote it. kCorrupt: the folder has data but no readable FORMAT.
Result<void> check_format(const std::string& folder, bool has_data);

// The error of a failed system call on `path` (errno); kExhausted when the disk is full.
Error system_error(const std::string& what, const std::string& path, int error_number);
// Makes creations, renames and removals in a folder survive a power cut.
Result<void> sync_folder(const std::string& folder);
// Makes a file's bytes survive a power cut.
Result<void> sync_file(const std::string& path);

}  // namespace qw::store::internal
