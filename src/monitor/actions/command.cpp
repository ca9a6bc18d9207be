#include "monitor/actions/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/machine.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace qw::monitor {
namespace {

constexpr size_t kMaxValueBytes = 4096;
// For output still in the pipes when the program has ended: they hold 64 KB each.
constexpr int kAfterExitReads = 40;
constexpr int kAfterExitWaitMs = 10;

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

struct Pipe {
  Fd read;
  Fd write;
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    return true;
  }
};

// Everything the child needs, made before the fork: after it only system calls are safe.
struct Launch {
  std::vector<char*> argv;
  std::vector<char*> envp;
  Fd null_in;
  Pipe out;
  Pipe err;
  Pipe failure;  // closes by exec; otherwise carries errno
  pid_t parent = 0;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> made;
  for (std::string& text : texts) made.push_back(text.data());
  made.push_back(nullptr);
  return made;
}

[[noreturn]] void fail_child(const Launch& launch) {
  const int reason = errno;
  [[maybe_unused]] const ssize_t told = ::write(launch.failure.write.get(), &reason, sizeof reason);
  ::_exit(127);
}

[[noreturn]] void become_program(const Launch& launch) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);  // the parent ended before the line above
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  give_back_file_limit();
  if (::dup2(launch.null_in.get(), 0) < 0 || ::dup2(launch.out.write.get(), 1) < 0 ||
      ::dup2(launch.err.write.get(), 2) < 0 || ::chdir("/") != 0)
    fail_child(launch);
  // Marks instead of closing, so that the failure pipe lives until exec.
  if (::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) != 0) fail_child(launch);
  ::execve(launch.argv[0], launch.argv.data(), launch.envp.data());
  fail_child(launch);
}

struct Stream {
  Fd fd;
  std::string* text;
};

// Reads what is there; false at the end of the stream.
bool drain(Stream& stream, size_t max_bytes, bool& cut) {
  std::array<char, 4096> piece;
  const ssize_t got = ::read(stream.fd.get(), piece.data(), piece.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  const size_t room = max_bytes - std::min(max_bytes, stream.text->size());
  const auto size = static_cast<size_t>(got);
  stream.text->append(piece.data(), std::min(room, size));
  if (size > room) cut = true;
  return true;
}

// The running program: its group is signalled and it is reaped here, in every path.
class Child {
 public:
  Child(pid_t pid, Fd exited) : pid_(pid), exited_(std::move(exited)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { reap(); }
  int exit_fd() const { return exited_.get(); }
  void signal_group(int number) const { ::kill(-pid_, number); }
  // Kills what is left of the group while the unreaped leader still holds its number, then reaps.
  int reap() {
    if (pid_ == 0) return status_;
    signal_group(SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status_;
  }

 private:
  pid_t pid_;
  Fd exited_;
  int status_ = 0;
};

// Waits for the end, feeding the output streams, and ends the program in time.
class Watch {
 public:
  Watch(Child& child, const CommandLimits& limits, const Clock& clock, int cancel_fd)
      : child_(child), limits_(limits), clock_(clock), cancel_fd_(cancel_fd) {}

  CommandEnd run(std::array<Stream, 2>& streams, bool& cut) {
    deadline_ns_ = clock_.monotonic_ns() + limits_.timeout_ms * 1'000'000;
    while (!exited_) {
      const int64_t left_ns = deadline_ns_ - clock_.monotonic_ns();
      if (left_ns <= 0 && !next_signal(CommandEnd::kTimedOut)) break;
      wait(streams, cut, static_cast<int>(std::clamp<int64_t>(left_ns / 1'000'000 + 1, 0, 60'000)));
    }
    // What is left of the group must not hold the streams open; then read what is in them.
    child_.signal_group(SIGKILL);
    for (int reads = kAfterExitReads; reads > 0 && any_open(streams); --reads)
      if (!wait(streams, cut, kAfterExitWaitMs)) break;
    return end_;
  }

 private:
  static bool any_open(const std::array<Stream, 2>& streams) {
    return streams[0].fd.get() >= 0 || streams[1].fd.get() >= 0;
  }
  // First the polite one, then the final one; false after that.
  bool next_signal(CommandEnd reason) {
    if (sent_ == SIGKILL) return false;
    if (sent_ == 0) end_ = reason;
    sent_ = sent_ == 0 ? SIGTERM : SIGKILL;
    child_.signal_group(sent_);
    deadline_ns_ = clock_.monotonic_ns() + limits_.grace_ms * 1'000'000;
    return true;
  }
  // False when nothing came.
  bool wait(std::array<Stream, 2>& streams, bool& cut, int timeout_ms) {
    std::array<pollfd, 4> polled{pollfd{streams[0].fd.get(), POLLIN, 0},
                                 pollfd{streams[1].fd.get(), POLLIN, 0},
                                 pollfd{exited_ ? -1 : child_.exit_fd(), POLLIN, 0},
                                 pollfd{sent_ == 0 ? cancel_fd_ : -1, POLLIN, 0}};
    if (::poll(polled.data(), polled.size(), timeout_ms) <= 0) return false;
    for (size_t i = 0; i < streams.size(); ++i)
      if (polled[i].revents != 0 && !drain(streams[i], limits_.max_output_bytes, cut))
        streams[i].fd.close();
    if (polled[2].revents != 0) exited_ = true;
    if (polled[3].revents != 0 && !exited_) next_signal(CommandEnd::kCancelled);
    return polled[0].revents != 0 || polled[1].revents != 0;
  }

  Child& child_;
  const CommandLimits& limits_;
  const Clock& clock_;
  int cancel_fd_;
  int64_t deadline_ns_ = 0;
  bool exited_ = false;
  int sent_ = 0;
  CommandEnd end_ = CommandEnd::kExited;
};

CommandReport not_started(std::string message) {
  CommandReport report;
  report.message = std::move(message);
  return report;
}

Result<void> prepare(Launch& launch) {
  launch.parent = ::getpid();
  launch.null_in = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (launch.null_in.get() < 0 || !launch.out.open() || !launch.err.open() ||
      !launch.failure.open())
    return Error{ErrorCode::kExhausted, std::string("no more files: ") + std::strerror(errno), "",
                 "raise the limit of open files"};
  for (const Pipe* pipe : {&launch.out, &launch.err})
    ::fcntl(pipe->read.get(), F_SETFL, O_NONBLOCK);
  return {};
}

bool is_placeholder(const std::string& argument) {
  return argument.size() > 2 && argument.front() == '{' && argument.back() == '}' &&
         argument.find_first_of("{}", 1) == argument.size() - 1;
}

Error bad_command(std::string message, std::string how_to_mend) {
  return Error{ErrorCode::kBadInput, std::move(message), "healing.commands",
               std::move(how_to_mend)};
}

}  // namespace

Result<void> check_command(const CommandTemplate& command) {
  if (command.empty() || command[0].empty())
    return bad_command("a command has no program", "write [/usr/bin/program, argument, ...]");
  if (command[0][0] != '/')
    return bad_command("the program '" + command[0] + "' is not an absolute path",
                       "write its whole path, as in /usr/bin/systemctl");
  for (const std::string& argument : command)
    if (argument.find('\0') != std::string::npos)
      return bad_command("an argument holds a NUL character", "remove it");
  return {};
}

Result<std::vector<std::string>> fill_command(const CommandTemplate& command,
                                              const std::map<std::string, std::string>& values) {
  QW_TRY(check_command(command));
  std::vector<std::string> filled{command[0]};
  for (size_t i = 1; i < command.size(); ++i) {
    if (!is_placeholder(command[i])) {
      filled.push_back(command[i]);
      continue;
    }
    const std::string name = command[i].substr(1, command[i].size() - 2);
    const auto value = values.find(name);
    if (value == values.end())
      return bad_command("there is no value for " + command[i],
                         "use one of the alert's labels, or remove the argument");
    if (value->second.starts_with('-'))
      return bad_command("the value of " + command[i] + " begins with '-'",
                         "a value must not look like an option: it is refused");
    if (value->second.find('\0') != std::string::npos || value->second.size() > kMaxValueBytes)
      return bad_command("the value of " + command[i] + " holds a NUL or is over 4096 bytes",
                         "it is refused");
    filled.push_back(value->second);
  }
  return filled;
}

std::string_view name_of(CommandEnd end) {
  switch (end) {
    case CommandEnd::kExited: return "exited";
    case CommandEnd::kSignalled: return "signalled";
    case CommandEnd::kTimedOut: return "timed_out";
    case CommandEnd::kCancelled: return "cancelled";
    case CommandEnd::kNotStarted: return "not_started";
  }
  return "not_started";
}

store::ActionFinishedBody journal_body(std::string_view action_id, const CommandReport& report) {
  store::ActionFinishedBody body;
  body.action_id = action_id;
  body.message = report.message;
  store::CommandEndBody& command = body.command.emplace();
  command.end = name_of(report.end);
  if (report.end == CommandEnd::kExited) command.exit_code = report.exit_code;
  if (report.signal != 0) command.signal = report.signal;
  command.took_s = static_cast<double>(report.took_us) * 1e-6;
  command.out = report.out;
  command.err = report.err;
  command.cut = report.cut;
  return body;
}

CommandReport run_command(const std::vector<std::string>& arguments,
                          const std::map<std::string, std::string>& environment,
                          const CommandLimits& limits, const Clock& clock, int cancel_fd) {
  if (const auto checked = check_command(arguments); !checked.ok())
    return not_started(checked.error().to_string());
  std::vector<std::string> texts = arguments;
  std::vector<std::string> variables{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  Launch launch;
  launch.argv = pointers(texts);
  launch.envp = pointers(variables);
  if (const auto ready = prepare(launch); !ready.ok()) return not_started(ready.error().message);

  const int64_t begun_ns = clock.monotonic_ns();
  const pid_t pid = ::_Fork();  // no atfork handlers: other threads may hold their locks
  if (pid < 0) return not_started(std::string("fork: ") + std::strerror(errno));
  if (pid == 0) become_program(launch);
  ::setpgid(pid, pid);  // also here: whoever comes first
  Child child(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  launch.out.write.close();
  launch.err.write.close();
  launch.failure.write.close();
  int reason = 0;
  ssize_t told = 0;
  while ((told = ::read(launch.failure.read.get(), &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (told > 0)
    return not_started(arguments[0] + ": " + std::strerror(reason) +
                       "; see that the file is there and may be executed");
  if (child.exit_fd() < 0) return not_started("this kernel has no pidfd (needs Linux 5.3)");

  CommandReport report;
  std::array<Stream, 2> streams{Stream{std::move(launch.out.read), &report.out},
                                Stream{std::move(launch.err.read), &report.err}};
  report.end = Watch(child, limits, clock, cancel_fd).run(streams, report.cut);
  const int status = child.reap();
  report.took_us = (clock.monotonic_ns() - begun_ns) / 1000;
  if (WIFSIGNALED(status)) {
    report.signal = WTERMSIG(status);
    if (report.end == CommandEnd::kExited) report.end = CommandEnd::kSignalled;
  } else {
    report.exit_code = WEXITSTATUS(status);
  }
  return report;
}

}  // namespace qw::monitor
