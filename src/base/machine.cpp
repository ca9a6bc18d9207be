#include "base/machine.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace qw {
namespace {

// Nothing of ours needs more, and some systems allow a billion.
constexpr rlim_t kFilesMost = 1u << 16;
constexpr rlim_t kUnknown = 0;
rlim_t files_at_start = kUnknown;

}  // namespace

void hold_standard_streams() {
  for (int number = 0; number <= STDERR_FILENO; ++number)
    if (::fcntl(number, F_GETFD) < 0) (void)::open("/dev/null", O_RDWR);
}

void soften_limits() {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit space{};
  // A heap for each thread reserves 64 MB of addresses and more.
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    ::mallopt(M_ARENA_MAX, 1);
}

uint64_t raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
  const rlim_t wanted = std::min(files.rlim_max, kFilesMost);
  if (files.rlim_cur >= wanted) return files.rlim_cur;
  const rlimit raised{wanted, files.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) return files.rlim_cur;
  files_at_start = files.rlim_cur;
  return wanted;
}

void give_back_file_limit() noexcept {
  rlimit files{};
  if (files_at_start == kUnknown || ::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files_at_start;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

FileShares share_files(uint64_t limit) {
  constexpr uint64_t kDatabaseLeast = 20, kDatabaseMost = 256;  // RocksDB takes no less
  constexpr uint64_t kOthersLeast = 24, kOthersMost = 128;
  constexpr uint64_t kConnectionsLeast = 4;
  const uint64_t database = std::clamp(limit / 4, kDatabaseLeast, kDatabaseMost);
  const uint64_t others = std::clamp(limit / 4, kOthersLeast, kOthersMost);
  const uint64_t left = limit - std::min(limit, database + others);
  return {limit, static_cast<int>(database),
          static_cast<size_t>(std::clamp<uint64_t>(left, kConnectionsLeast, kConnectionsMost))};
}

}  // namespace qw
