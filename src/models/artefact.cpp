#include "models/artefact.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/files.h"

namespace qw::models {
namespace {

Error refused(std::string_view step, const std::string& path) {
  const int number = errno;
  if (number == ENOENT) return {ErrorCode::kNotFound, "there is no such file", path, ""};
  if (number == ELOOP)
    return {ErrorCode::kBadInput, "a link, where a file of its own is wanted", path,
            "put the file itself there"};
  return {ErrorCode::kIo, fmt::format("cannot {}: {}", step, std::strerror(number)), path,
          "check that this user may read it"};
}

// An open file; closed at the end of its scope.
class File {
 public:
  // Neither follows a link nor waits for who writes into a pipe.
  explicit File(const std::string& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}
  ~File() {
    if (number_ >= 0) ::close(number_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

Artefact::Artefact(std::string name, std::shared_ptr<const void> owner, std::string_view bytes)
    : name_(std::move(name)), owner_(std::move(owner)), bytes_(bytes), sha256_(sha256_hex(bytes)) {}

Artefact Artefact::of(std::string name, std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {std::move(name), owner, *owner};
}

Result<Artefact> Artefact::map(std::string name, const std::string& path) {
  const File file(path);
  if (file.number() < 0) return refused("open", path);
  struct stat facts {};
  if (::fstat(file.number(), &facts) != 0) return refused("look at", path);
  if (!S_ISREG(facts.st_mode))
    return Error{ErrorCode::kBadInput, "not a regular file", path, "put a file there"};
  const auto size = static_cast<size_t>(facts.st_size);
  if (size == 0) return Artefact(std::move(name), nullptr, {});
  void* const place = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.number(), 0);
  if (place == MAP_FAILED) return refused("map", path);
  std::shared_ptr<const void> owner(
      place, [size](const void* at) { ::munmap(const_cast<void*>(at), size); });
  ::madvise(place, size, MADV_WILLNEED);  // all of it is read at once, for its digest
  return Artefact(std::move(name), std::move(owner), {static_cast<const char*>(place), size});
}

}  // namespace qw::models
