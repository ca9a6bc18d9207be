#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

namespace qw {
namespace {

Error io_error(std::string_view step, const std::string& path) {
  const int number = errno;
  if (number == ENOENT) return {ErrorCode::kNotFound, "there is no such file or folder", path, ""};
  if (number == ENOSPC)
    return {ErrorCode::kExhausted, fmt::format("cannot {}: the disk is full", step), path,
            "free some space"};
  if (number == EDQUOT || number == EFBIG)
    return {ErrorCode::kExhausted, fmt::format("cannot {}: {}", step, std::strerror(number)), path,
            "free some space, or raise the limit (quota, `ulimit -f`)"};
  return {ErrorCode::kIo, fmt::format("cannot {}: {}", step, std::strerror(number)), path,
          "check the path, and that this user may use it"};
}

// Closes a file descriptor when it goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return io_error("open", path);
  std::string bytes;
  char piece[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("read", path);
    if (got == 0) return bytes;
    bytes.append(piece, static_cast<size_t>(got));
    if (bytes.size() > max_bytes)
      return Error{ErrorCode::kExhausted,
                   fmt::format("the file is larger than {} bytes", max_bytes), path, ""};
  }
}

Result<void> write_file_atomically(const std::string& path, std::string_view bytes) {
  const std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  {
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return io_error("create", temporary);
    auto written = write_all(file.get(), bytes, temporary);
    if (written.ok() && ::fsync(file.get()) != 0) written = io_error("sync", temporary);
    if (!written.ok()) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return io_error("rename", path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return sync_folder(folder.empty() ? "." : folder);
}

Result<void> sync_folder(const std::string& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) return io_error("open", folder);
  if (::fsync(opened.get()) != 0) return io_error("sync", folder);
  return {};
}

Result<uint64_t> file_checksum64(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return io_error("open", path);
  constexpr size_t kPiece = 1u << 20;
  const auto piece = std::make_unique<char[]>(kPiece);
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_64bits_reset(state.get());
  while (true) {
    const ssize_t got = ::read(file.get(), piece.get(), kPiece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("read", path);
    if (got == 0) return XXH3_64bits_digest(state.get());
    XXH3_64bits_update(state.get(), piece.get(), static_cast<size_t>(got));
  }
}

Result<void> make_folders(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return Error{error == std::errc::no_space_on_device ? ErrorCode::kExhausted : ErrorCode::kIo,
                 fmt::format("cannot create the folder: {}", error.message()), folder,
                 error == std::errc::no_space_on_device
                     ? "free some space (or inodes: `df -i`)"
                     : "choose a folder that this user may write to"};
  return {};
}

std::string sha256_hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  QW_ASSERT(EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  std::string text;
  for (unsigned int index = 0; index < size; ++index) text += fmt::format("{:02x}", digest[index]);
  return text;
}

}  // namespace qw
