#include "store/internal/end_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "store/internal/folder.h"

namespace qw::store::internal {
namespace {

constexpr uint8_t kMarkKind = 18;
constexpr uint8_t kMarkVersion = 1;
constexpr size_t kBootBytes = 36;
constexpr size_t kMostBytes = 4096;

}  // namespace

std::string EndMarkFile::path(const std::string& folder) { return folder + "/db-end"; }

std::optional<EndMark> EndMarkFile::read(const std::string& folder) {
  const auto bytes = read_file(path(folder), kMostBytes);
  if (!bytes.ok()) return std::nullopt;
  const auto record = open_record(*bytes);
  if (!record.ok() || record->kind != kMarkKind || record->version != kMarkVersion)
    return std::nullopt;
  ByteReader reader(record->body);
  EndMark mark;
  mark.boot = reader.text();
  mark.boot.resize(mark.boot.find_last_not_of('\0') + 1);
  mark.written = reader.u64();
  mark.synced = reader.u64();
  if (!reader.ok()) return std::nullopt;
  return mark;
}

Result<EndMarkFile> EndMarkFile::begin(const std::string& folder, EndMark mark) {
  EndMarkFile made;
  made.path_ = path(folder);
  made.mark_ = std::move(mark);
  made.mark_.boot.resize(kBootBytes);  // always as long: it is written over in place
  made.file_ = ::open(made.path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (made.file_ < 0) return system_error("cannot open", made.path_, errno);
  QW_TRY(made.write());
  if (::fsync(made.file_) != 0) return system_error("cannot sync", made.path_, errno);
  QW_TRY(sync_folder(folder));
  return made;
}

EndMarkFile::EndMarkFile(EndMarkFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      path_(std::move(other.path_)),
      mark_(std::move(other.mark_)) {}
EndMarkFile& EndMarkFile::operator=(EndMarkFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(mark_, other.mark_);
  return *this;
}
EndMarkFile::~EndMarkFile() {
  if (file_ >= 0) ::close(file_);
}

void EndMarkFile::note(uint64_t last, bool synced) {
  if (file_ < 0) return;
  mark_.written = last;
  if (synced) mark_.synced = last;
  static_cast<void>(write());  // an older one asks less
}

// One write of a few bytes: a kill leaves the old or the new.
Result<void> EndMarkFile::write() const {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.text(mark_.boot);
  writer.u64(mark_.written);
  writer.u64(mark_.synced);
  seal_record(kMarkKind, kMarkVersion, body, sealed);
  const ssize_t written = ::pwrite(file_, sealed.data(), sealed.size(), 0);
  if (written == static_cast<ssize_t>(sealed.size())) return {};
  return system_error("cannot write", path_, written < 0 ? errno : ENOSPC);
}

std::string boot_of_machine() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", kMostBytes);
  if (!text.ok()) return std::string(kBootBytes, '-');
  text->resize(kBootBytes);
  return *text;
}

}  // namespace qw::store::internal
