#include "app/incident/incident.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/guard.h"

namespace qw::app {
namespace {

constexpr int64_t kStartSlackMs = 3'000;  // after its time the child should be gone by itself
constexpr int64_t kPoliteMs = 1'000;      // between SIGTERM and SIGKILL

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> made;
  for (std::string& text : texts) made.push_back(text.data());
  made.push_back(nullptr);
  return made;
}

Result<pid_t> spawn(std::vector<std::string>& arguments) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A group of its own: Ctrl-C on the terminal reaches us, and we end it.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, arguments[0].c_str(), &files, &attributes,
                                   pointers(arguments).data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0)
    return Error{ErrorCode::kIo, std::string("cannot start the incident: ") + std::strerror(failed),
                 arguments[0], ""};
  return pid;
}

}  // namespace

// The process of the load; ended and reaped in every path.
struct Incidents::Child {
  explicit Child(pid_t pid)
      : pid_(pid), exited_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGKILL);
    reap();
    ::close(exited_);
  }
  void terminate() const { ::kill(pid_, SIGTERM); }
  int reap() {
    if (reaped_) return status_;
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    return status_;
  }
  // True when it is gone; false when the time is over or `wake_fd` (-1: none) was written.
  bool wait_ms(int64_t timeout_ms, int wake_fd) const {
    pollfd polled[] = {{exited_, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    return ::poll(polled, 2, static_cast<int>(timeout_ms)) > 0 && polled[0].revents != 0;
  }

 private:
  pid_t pid_;
  int exited_;
  int status_ = 0;
  bool reaped_ = false;
};

std::string_view name_of(IncidentState state) {
  switch (state) {
    case IncidentState::kRunning: return "running";
    case IncidentState::kEnded: return "ended";
    case IncidentState::kStopped: return "stopped";
    case IncidentState::kHealed: return "healed";
    case IncidentState::kFailed: return "failed";
  }
  return "running";
}

std::string own_program() {
  std::error_code trouble;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", trouble);
  // A file that was replaced since the start has no path any more; the link still opens it.
  return !trouble && std::filesystem::exists(path, trouble) ? path.string() : "/proc/self/exe";
}

Incidents::Incidents(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
  QW_ASSERT(!options_.program.empty());
}

Incidents::~Incidents() {
  end();
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

void Incidents::end() {
  std::lock_guard no_start(start_mutex_);
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  (void)stop(IncidentState::kStopped);
  if (thread_.joinable()) thread_.join();
}

std::optional<IncidentStatus> Incidents::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

Result<IncidentStatus> Incidents::start(IncidentKind kind, int seconds) {
  if (seconds < kIncidentSecondsMin || seconds > kIncidentSecondsMax)
    return Error{ErrorCode::kBadInput, fmt::format("an incident of {} s", seconds), "seconds",
                 fmt::format("use {} to {}", kIncidentSecondsMin, kIncidentSecondsMax)};
  std::lock_guard one_start(start_mutex_);
  std::unique_lock lock(mutex_);
  if (status_ && status_->state == IncidentState::kRunning)
    return Error{ErrorCode::kConflict, "an incident is running already", status_->id,
                 "wait for its end, or stop it"};
  if (closed_) return Error{ErrorCode::kConflict, "the application is ending", "incident", ""};
  lock.unlock();
  if (thread_.joinable()) thread_.join();  // of the one before: over, as its status says
  lock.lock();
  if (wake_fd_ >= 0) ::close(wake_fd_);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  IncidentStatus begun;
  begun.kind = kind;
  begun.started_us = clock_.wall_us();
  begun.ends_us = begun.started_us + int64_t{seconds} * 1'000'000;
  begun.id = fmt::format("inc-{}", begun.started_us);
  std::vector<std::string> arguments = options_.program;
  for (const std::string& more : {std::string(name_of(kind)), std::string("--seconds"),
                                  std::to_string(seconds), std::string("--folder"), options_.folder,
                                  std::string("--with-parent"), std::to_string(::getpid())})
    arguments.push_back(more);
  started_ = false;
  start_error_.reset();
  wish_.reset();
  const auto before = status_;
  status_ = begun;
  const auto watched = guarded("incident", [&] {
    thread_ = std::thread([this, begun, arguments] {
      const auto done = guarded("incident", [&] { watch(begun, arguments); });
      if (!done.ok()) finish(IncidentState::kFailed, done.error().to_string());
    });
  });
  if (!watched.ok()) {
    status_ = before;
    return watched.error();
  }
  changed_.wait(lock, [this] { return started_; });
  if (start_error_) {
    status_ = before;
    return *start_error_;
  }
  return begun;
}

// On its own thread from beginning to end: the child dies with the thread that made it.
void Incidents::watch(const IncidentStatus& begun, std::vector<std::string> arguments) {
  const auto pid = spawn(arguments);
  {
    std::lock_guard lock(mutex_);
    started_ = true;
    if (!pid.ok()) start_error_ = pid.error();
  }
  changed_.notify_all();
  if (!pid.ok()) return;
  if (options_.on_change) options_.on_change(begun);
  Child child(*pid);
  const int64_t planned_ms = (begun.ends_us - begun.started_us) / 1000;
  bool gone = child.wait_ms(planned_ms + kStartSlackMs, wake_fd_);
  if (!gone) {
    child.terminate();
    gone = child.wait_ms(kPoliteMs, -1);
  }
  if (!gone) return finish(IncidentState::kFailed, "it had to be killed");
  const int status = child.reap();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return finish(IncidentState::kEnded, "");
  finish(IncidentState::kFailed,
         WIFSIGNALED(status) ? fmt::format("it was ended by signal {}", WTERMSIG(status))
                             : fmt::format("it ended with exit code {}", WEXITSTATUS(status)));
}

void Incidents::finish(IncidentState state, std::string message) {
  IncidentStatus over;
  {
    std::lock_guard lock(mutex_);
    status_->state = wish_ ? *wish_ : state;
    status_->message = wish_ ? "" : std::move(message);
    status_->ends_us = clock_.wall_us();
    over = *status_;
  }
  changed_.notify_all();
  if (options_.on_change) options_.on_change(over);
}

Result<IncidentStatus> Incidents::ask_to_end(IncidentState how) {
  QW_ASSERT(how == IncidentState::kStopped || how == IncidentState::kHealed);
  std::lock_guard lock(mutex_);
  if (!status_ || status_->state != IncidentState::kRunning)
    return Error{ErrorCode::kNotFound, "no incident is running", "", ""};
  if (!wish_) wish_ = how;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t woken = ::write(wake_fd_, &one, sizeof one);
  return *status_;
}

Result<IncidentStatus> Incidents::stop(IncidentState how) {
  QW_ASSIGN(const IncidentStatus asked, ask_to_end(how));
  std::unique_lock lock(mutex_);
  changed_.wait(
      lock, [&] { return status_->id != asked.id || status_->state != IncidentState::kRunning; });
  return *status_;
}

}  // namespace qw::app
