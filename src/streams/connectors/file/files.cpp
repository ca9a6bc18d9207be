#include "streams/connectors/file/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "schema/stored_record.h"

namespace qw::streams::file {
namespace {

namespace fs = std::filesystem;
constexpr uint8_t kPlaceKind = 42, kPlaceVersion = 1;

Error failure(const std::string& path, int code) {
  const auto kind = code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return Error{kind, std::strerror(code), path,
               code == EACCES ? "give this user the right to read it" : ""};
}

bool is_regular(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

OpenFile::Identity identity_from(const struct stat& info) {
  return {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino),
          static_cast<uint64_t>(info.st_size)};
}

void list_folder(const std::string& path, size_t max_files, std::vector<std::string>& out) {
  std::error_code error;
  fs::recursive_directory_iterator it(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->path().filename().string().starts_with('.')) continue;
    if (it->is_regular_file(error)) out.push_back(it->path().string());
    if (out.size() > max_files) return;
  }
}

void list_glob(const std::string& path, std::vector<std::string>& out) {
  glob_t found{};
  if (::glob(path.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i)
      if (is_regular(found.gl_pathv[i])) out.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
}

}  // namespace

Result<std::vector<std::string>> list_files(const std::string& path, size_t max_files) {
  std::vector<std::string> out;
  std::error_code error;
  if (fs::is_directory(path, error))
    list_folder(path, max_files, out);
  else if (is_regular(path))
    out.push_back(path);
  else if (path.find_first_of("*?[") != std::string::npos)
    list_glob(path, out);
  if (out.size() > max_files)
    return Error{ErrorCode::kExhausted, fmt::format("more than {} files", max_files), path,
                 "narrow the path, or raise max_files"};
  std::sort(out.begin(), out.end());
  return out;
}

std::string stem_of(std::string_view path) { return fs::path(path).stem().string(); }

OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Result<void> OpenFile::open(const std::string& path) {
  close();
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) return failure(path, errno);
  return {};
}

void OpenFile::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

Result<std::string_view> OpenFile::read_at(uint64_t offset, size_t count,
                                           std::string& buffer) const {
  buffer.resize(count);
  size_t filled = 0;
  while (filled < count) {
    const ssize_t got = ::pread(descriptor_, buffer.data() + filled, count - filled,
                                static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure("file", errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return std::string_view(buffer).substr(0, filled);
}

Result<OpenFile::Identity> OpenFile::identity() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) return failure("file", errno);
  return identity_from(info);
}

Result<OpenFile::Identity> identity_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failure(path, errno);
  return identity_from(info);
}

std::string encode_place(const Place& place) {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.text(place.path);
  for (const uint64_t number :
       {place.device, place.inode, place.offset, place.records, place.head_hash, place.head_bytes})
    writer.u64(number);
  writer.varint(place.past.size());
  for (const Place::Past& past : place.past)
    for (const uint64_t number : {past.device, past.inode, past.head_hash, past.head_bytes})
      writer.u64(number);
  writer.text(place.extra);
  seal_record(kPlaceKind, kPlaceVersion, body, sealed);
  return sealed;
}

Result<Place> decode_place(std::string_view bytes) {
  constexpr std::string_view kWhat = "the saved position of a file";
  QW_ASSIGN(ByteReader reader, schema::open_stored(bytes, kPlaceKind, kPlaceVersion, kWhat));
  Place place;
  place.path = reader.text();
  for (uint64_t* number : {&place.device, &place.inode, &place.offset, &place.records,
                           &place.head_hash, &place.head_bytes})
    *number = reader.u64();
  const uint64_t past_files = reader.varint();
  if (past_files > kPastFiles) return schema::damaged_record(kWhat);
  place.past.resize(past_files);
  for (Place::Past& past : place.past)
    for (uint64_t* number : {&past.device, &past.inode, &past.head_hash, &past.head_bytes})
      *number = reader.u64();
  place.extra = reader.text();
  if (!reader.done()) return schema::damaged_record(kWhat);
  return place;
}

}  // namespace qw::streams::file
