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

namespace qw::store::internal {
namespace {

constexpr const char* kMendDamaged =
    "restore the folder from a copy, or move it away and start with an empty one (sources that can "
    "be read again are then read from their beginning)";

std::string read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<void> write_durably(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file << text;
    file.flush();
    if (!file) return system_error("cannot write", temporary, errno);
  }
  QW_TRY(sync_file(temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return system_error("cannot rename", temporary, errno);
  return sync_folder(std::filesystem::path(path).parent_path().string());
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
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return Error{full ? ErrorCode::kExhausted : ErrorCode::kIo,
               fmt::format("{}: {}", what, std::strerror(error_number)), path,
               full ? "free some disk space; writing goes on by itself"
                    : "check that the path exists and that this user may write there"};
}

Result<void> sync_file(const std::string& path) { return sync_path(path, O_RDONLY); }
Result<void> sync_folder(const std::string& folder) {
  return sync_path(folder, O_RDONLY | O_DIRECTORY);
}

Result<FolderLock> FolderLock::take(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return system_error("cannot create the data folder", folder, failed.value());
  const std::string path = folder + "/LOCK";
  FolderLock lock;
  lock.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock.file_ < 0) return system_error("cannot open the lock of the data folder", path, errno);
  if (::flock(lock.file_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("cannot lock the data folder", path, errno);
    std::string holder = read_small_file(path);
    holder = holder.substr(0, holder.find('\n'));
    return Error{
        ErrorCode::kConflict,
        fmt::format("process {} has this data folder open", holder.empty() ? "another" : holder),
        folder, "stop that process, or give this one its own data folder"};
  }
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

Result<void> check_format(const std::string& folder, bool has_data) {
  const std::string path = folder + "/FORMAT";
  if (!std::filesystem::exists(path)) {
    if (has_data)
      return Error{ErrorCode::kCorrupt, "the data folder has data but its FORMAT file is missing",
                   path, kMendDamaged};
    return write_durably(path, fmt::format("quickwater data {}\n", kFormatVersion));
  }
  const std::string text = read_small_file(path);
  int version = 0;
  if (std::sscanf(text.c_str(), "quickwater data %d\n", &version) != 1 || version < 1)
    return Error{ErrorCode::kCorrupt, "the FORMAT file of the data folder is damaged", path,
                 kMendDamaged};
  if (version > kFormatVersion)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("the data folder has format {}, this program knows up to {}", version,
                             kFormatVersion),
                 path, "start the newer Quickwater that wrote it, or use another data folder"};
  return {};
}

}  // namespace qw::store::internal
