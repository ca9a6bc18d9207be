#include "base/stop_limit.h"

#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/log.h"

namespace qw {
namespace {

std::atomic<const char*> part{"the start of the stop"};
std::atomic<int> code{1};

// Only what may be done inside a signal.
void end_process(int) {
  std::array<char, 256> line{};
  char* at = line.data();
  const auto put = [&](const char* text) {
    for (; *text != '\0' && at + 1 < line.data() + line.size(); ++text) *at++ = *text;
  };
  put("quickwater: the stop took longer than stop_timeout and is cut off at: ");
  put(part.load());
  put("; what is durable stays, the next start goes on from it\n");
  log::last_word({line.data(), static_cast<size_t>(at - line.data())});
  ::_exit(code.load());
}

void set_timer(int64_t limit_ms) {
  itimerval timer{};
  timer.it_value.tv_sec = limit_ms / 1000;
  timer.it_value.tv_usec = limit_ms % 1000 * 1000;
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace

void StopLimit::arm(int64_t limit_ms, int exit_code) {
  code = exit_code;
  log::flush();  // makes what last_word() needs
  struct sigaction action {};
  action.sa_handler = end_process;
  ::sigaction(SIGALRM, &action, nullptr);
  set_timer(limit_ms);
}

StopLimit::~StopLimit() { set_timer(0); }

void StopLimit::now_at(const char* name) noexcept { part.store(name); }

}  // namespace qw
