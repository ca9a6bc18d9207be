#include "store/internal/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/env.h"
#include "base/full_disk.h"

namespace qw::store::internal {
namespace {

std::string read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<void> sync_path(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return system_error("cannot open", path, errno);
  const int failed = ::fsync(file) == 0 ? 0 : errno;
  ::close(file);
  if (failed != 0) return system_error("cannot sync", path, failed);
  return {};
}

}  // namespace

Error system_error(const std::string& what, const std::string& path, int error_number) {
  const bool full = means_full_disk(error_number);
  return Error{
      full ? ErrorCode::kExhausted : ErrorCode::kIo,
      fmt::format("{}: {}", what, std::strerror(error_number)), path,
      full ? "free some disk space, or raise the limit (quota, `ulimit -f`); writing goes on "
             "by itself"
           : "check that the path exists and that this user may write there"};
}

Result<void> sync_file(const std::string& path) { return sync_path(path, O_RDONLY); }
Result<void> sync_folder(const std::string& folder) {
  return sync_path(folder, O_RDONLY | O_DIRECTORY);
}

namespace {

// Readers look for a moment (a query, `log`); a program that starts meanwhile waits for them.
constexpr int64_t kReadersUs = 30'000'000, kLookAgainUs = 20'000;

bool only_readers_hold(int file) {
  if (::flock(file, LOCK_SH | LOCK_NB) != 0) return false;
  ::flock(file, LOCK_UN);
  return true;
}

Result<void> hold(int file, int how, const std::string& folder) {
  const std::string path = folder + "/LOCK";
  const int64_t until_us = real_clock().monotonic_ns() / 1000 + kReadersUs;
  while (true) {
    if (::flock(file, how | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK || how == LOCK_SH || !only_readers_hold(file)) break;
    if (real_clock().monotonic_ns() / 1000 > until_us) break;
    real_clock().sleep_us(kLookAgainUs);
  }
  errno = EWOULDBLOCK;
  if (::flock(file, how | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return system_error("cannot lock the data folder", path, errno);
  std::string holder = read_small_file(path);
  holder = holder.substr(0, holder.find('\n'));
  return Error{
      ErrorCode::kConflict,
      fmt::format("process {} has this data folder open", holder.empty() ? "another" : holder),
      folder, "stop that process, or give this one its own data folder"};
}

}  // namespace

Result<FolderLock> FolderLock::look(const std::string& folder) {
  const std::string path = folder + "/LOCK";
  FolderLock lock;
  lock.file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (lock.file_ < 0 && errno == ENOENT) return lock;
  if (lock.file_ < 0) return system_error("cannot open the lock of the data folder", path, errno);
  QW_TRY(hold(lock.file_, LOCK_SH, folder));
  return lock;
}

Result<FolderLock> FolderLock::take(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return system_error("cannot create the data folder", folder, failed.value());
  const std::string path = folder + "/LOCK";
  FolderLock lock;
  lock.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock.file_ < 0) return system_error("cannot open the lock of the data folder", path, errno);
  QW_TRY(hold(lock.file_, LOCK_EX, folder));
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.file_, 0) != 0 ||
      ::pwrite(lock.file_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return system_error("cannot write the lock of the data folder", path, errno);
  return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}
FolderLock::~FolderLock() {
  if (file_ >= 0) ::close(file_);  // the lock goes with it
}

}  // namespace qw::store::internal
