#include "app/incident/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/guard.h"

namespace qw::app {
namespace {

constexpr uint64_t kMegabyte = 1ull << 20;
constexpr uint64_t kLeastBytes = 16 * kMegabyte;  // below it the load would show nothing
constexpr int kNice = 10;
constexpr unsigned kAlarmSlackS = 10;

Error io_error(const std::string& what, const std::string& where) {
  return Error{ErrorCode::kIo, what + ": " + std::strerror(errno), where, ""};
}

// Tells when the load is to end: by time, by SIGTERM or by SIGINT. Owns the signal descriptor.
class End {
 public:
  End(int seconds, const Clock& clock)
      : clock_(clock), until_ns_(clock.monotonic_ns() + int64_t{seconds} * 1'000'000'000) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() { ::close(fd_); }

  // Waits at most this long; true when the load is to end.
  bool wait_ms(int64_t most_ms) {
    const int64_t left_ms = (until_ns_ - clock_.monotonic_ns()) / 1'000'000;
    if (over_ || left_ms <= 0) return true;
    pollfd polled{fd_, POLLIN, 0};
    const auto timeout_ms = static_cast<int>(std::clamp<int64_t>(most_ms, 0, left_ms + 1));
    over_ = ::poll(&polled, 1, timeout_ms) > 0;
    return over_ || clock_.monotonic_ns() >= until_ns_;
  }

 private:
  const Clock& clock_;
  int64_t until_ns_;
  int fd_ = -1;
  bool over_ = false;
};

Result<void> burn_cpu(const IncidentLoad& load, End& end) {
  const int wanted =
      load.threads > 0 ? load.threads : static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  std::atomic<uint64_t> sink{0};
  const auto burn = [&sink](const std::stop_token& stop) {
    uint64_t number = 1;
    while (!stop.stop_requested())
      for (int round = 0; round < 10'000; ++round)
        number = number * 6364136223846793005ull + 1442695040888963407ull;
    sink.fetch_add(number, std::memory_order_relaxed);
  };
  const auto begun = guarded("load", [&] {
    for (int i = 0; i < std::clamp(wanted, 1, kIncidentThreadsMax); ++i) threads.emplace_back(burn);
  });
  if (threads.empty()) return begun;
  while (!end.wait_ms(1000)) {
  }
  return {};
}

Result<void> hold_memory(const IncidentLoad& load, End& end) {
  QW_ASSIGN(const uint64_t free_bytes, available_memory_bytes());
  const uint64_t bytes = memory_load_bytes(load, free_bytes);
  if (bytes < kLeastBytes)
    return Error{ErrorCode::kExhausted, "too little free memory for an incident", "/proc/meminfo",
                 "free some, or choose another kind"};
  void* place = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) return io_error("mmap", "memory incident");
  // Pages come over about two seconds: a step that a person can see, not a shock to the machine.
  const uint64_t step = std::max(kMegabyte, bytes / 40);
  uint64_t touched = 0;
  while (!end.wait_ms(touched < bytes ? 50 : 1000)) {
    const uint64_t until = std::min(bytes, touched + step);
    if (touched < until) std::memset(static_cast<char*>(place) + touched, 0x5A, until - touched);
    touched = until;
  }
  ::munmap(place, bytes);
  return {};
}

// A file without a name: the system removes it with the last descriptor, also after kill -9.
Result<int> open_nameless(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = folder + "/incident-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named < 0) return io_error("cannot make a temporary file", folder);
  ::unlink(name.c_str());
  return named;
}

Result<void> write_disk(const IncidentLoad& load, End& end) {
  struct statvfs space {};
  if (::statvfs(load.folder.c_str(), &space) != 0) return io_error("statvfs", load.folder);
  const auto free_bytes = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  const uint64_t bytes =
      std::min(load.disk_bytes, static_cast<uint64_t>(free_bytes * kIncidentDiskShare)) /
      kMegabyte * kMegabyte;
  if (bytes < kLeastBytes)
    return Error{ErrorCode::kExhausted, "too little free disk for an incident", load.folder,
                 "free some, or choose another kind"};
  QW_ASSIGN(const int fd, open_nameless(load.folder));
  const std::vector<char> block(kMegabyte, 'q');
  const uint64_t per_tenth = std::max<uint64_t>(1, load.disk_bytes_per_s / kMegabyte / 10);
  Result<void> result;
  for (uint64_t at = 0; result.ok() && !end.wait_ms(100);) {
    for (uint64_t i = 0; i < per_tenth && result.ok(); ++i, at = (at + kMegabyte) % bytes)
      if (::pwrite(fd, block.data(), block.size(), static_cast<off_t>(at)) < 0)
        result = io_error("cannot write the temporary file", load.folder);
    ::fdatasync(fd);  // otherwise it would only be memory; a failure shows at the next write
  }
  ::close(fd);
  return result;
}

// Harmless: yields to everything else, is the first to go when memory is short, and cannot outlive
// its time or its parent.
Result<void> be_harmless(const IncidentLoad& load) {
  if (load.parent_pid != 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != load.parent_pid)
      return Error{ErrorCode::kUnavailable, "the process that started the incident is gone", "",
                   ""};
  }
  ::setpriority(PRIO_PROCESS, 0, kNice);
  std::ofstream("/proc/self/oom_score_adj") << 1000;
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(static_cast<unsigned>(load.seconds) + kAlarmSlackS);
  return {};
}

uint64_t number_in(const std::string& path) {
  const auto text = read_file(path, 1024);
  uint64_t number = UINT64_MAX;  // "max", or no such file: no limit
  if (text.ok()) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

}  // namespace

std::string_view name_of(IncidentKind kind) {
  switch (kind) {
    case IncidentKind::kCpu: return "cpu";
    case IncidentKind::kMemory: return "memory";
    case IncidentKind::kDisk: return "disk";
  }
  return "cpu";
}

Result<IncidentKind> parse_incident_kind(std::string_view text) {
  for (const IncidentKind kind : {IncidentKind::kCpu, IncidentKind::kMemory, IncidentKind::kDisk})
    if (text == name_of(kind)) return kind;
  return Error{ErrorCode::kBadInput, "unknown kind of incident '" + std::string(text) + "'", "",
               "use cpu, memory or disk"};
}

Result<void> check(const IncidentLoad& load) {
  if (load.seconds < kLoadSecondsMin || load.seconds > kIncidentSecondsMax)
    return Error{ErrorCode::kBadInput, fmt::format("an incident of {} s", load.seconds), "seconds",
                 fmt::format("use {} to {}", kLoadSecondsMin, kIncidentSecondsMax)};
  if (load.threads < 0 || load.threads > kIncidentThreadsMax)
    return Error{ErrorCode::kBadInput, fmt::format("{} threads", load.threads), "threads",
                 fmt::format("use 0 to {}", kIncidentThreadsMax)};
  return {};
}

uint64_t memory_load_bytes(const IncidentLoad& load, uint64_t free_bytes) {
  const auto share = static_cast<uint64_t>(static_cast<double>(free_bytes) * kIncidentMemoryShare);
  return std::min(load.memory_bytes, share);
}

Result<uint64_t> available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  uint64_t kilobytes = 0;
  std::string unit;
  while (file >> name >> kilobytes && name != "MemAvailable:") std::getline(file, unit);
  if (name != "MemAvailable:")
    return Error{ErrorCode::kIo, "no MemAvailable", "/proc/meminfo", "needs Linux 3.14 or newer"};
  const uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const uint64_t used = number_in("/sys/fs/cgroup/memory.current");
  const uint64_t group = limit == UINT64_MAX || used == UINT64_MAX ? UINT64_MAX
                         : limit > used                            ? limit - used
                                                                   : 0;
  return std::min(kilobytes * 1024, group);
}

Result<void> run_incident_load(const IncidentLoad& load, const Clock& clock) {
  QW_TRY(check(load));
  QW_TRY(be_harmless(load));
  End end(load.seconds, clock);
  switch (load.kind) {
    case IncidentKind::kCpu: return burn_cpu(load, end);
    case IncidentKind::kMemory: return hold_memory(load, end);
    case IncidentKind::kDisk: return write_disk(load, end);
  }
  return {};
}

}  // namespace qw::app
