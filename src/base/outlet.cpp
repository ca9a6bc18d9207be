#include "base/outlet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace qw {
namespace {

bool room_within(int descriptor, int limit_ms) {
  pollfd polled{descriptor, POLLOUT, 0};
  // An end that is gone counts as room: the write then says so.
  return ::poll(&polled, 1, limit_ms) > 0;
}

}  // namespace

// O_NONBLOCK belongs to the open file, which others share with us (the shell its terminal): the
// same thing is opened once more, for us alone.
Outlet::Outlet(int descriptor) : descriptor_(descriptor) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return;
  if (S_ISSOCK(facts.st_mode)) {
    kind_ = Kind::kSocket;
  } else if (S_ISFIFO(facts.st_mode) || S_ISCHR(facts.st_mode)) {
    own_ = ::open(fmt::format("/proc/self/fd/{}", descriptor).c_str(),
                  O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    kind_ = own_ >= 0 ? Kind::kOwn : Kind::kShared;
  }
}

Outlet::~Outlet() {
  if (own_ >= 0) ::close(own_);
}

bool Outlet::wait_for_room(int limit_ms) const {
  return room_within(own_ >= 0 ? own_ : descriptor_, limit_ms);
}

long Outlet::write(std::string_view bytes) const {
  size_t gone = 0;
  while (gone < bytes.size()) {
    const char* const from = bytes.data() + gone;
    size_t size = bytes.size() - gone;
    ssize_t written = -1;
    if (kind_ == Kind::kSocket) {
      written = ::send(descriptor_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (kind_ == Kind::kShared) {
      // Where there is room at all there is room for so much.
      size = std::min<size_t>(size, PIPE_BUF);
      if (!room_within(descriptor_, 0)) break;
      written = ::write(descriptor_, from, size);
    } else {
      written = ::write(own_ >= 0 ? own_ : descriptor_, from, size);
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (written < 0) return gone > 0 ? static_cast<long>(gone) : -1;
    gone += static_cast<size_t>(written);
  }
  return static_cast<long>(gone);
}

}  // namespace qw
