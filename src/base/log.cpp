#include "base/log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/env.h"
#include "base/outlet.h"

namespace qw::log {
namespace {

std::atomic<Level> least_level{Level::kInfo};
std::atomic<uint64_t> lines_dropped{0};

struct Style {
  std::string_view name, colour;
};
Style style_of(Level level) {
  switch (level) {
    case Level::kDebug: return {"debug", "\033[36m"};
    case Level::kInfo: return {"info", "\033[32m"};
    case Level::kWarning: return {"warn", "\033[33m\033[1m"};
    case Level::kError: return {"error", "\033[31m\033[1m"};
  }
  return {"error", ""};
}

// Standard error, and what waits to go there.
class Lines {
 public:
  void add(Level level, std::string_view part, std::string_view message) {
    const int64_t now_ms = real_clock().wall_us() / 1000;
    const Style style = style_of(level);
    const bool coloured = terminal_;
    const std::lock_guard lock(mutex_);
    put(fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {}{:<5}{} [{}] {}\n",
                    fmt::gmtime(static_cast<std::time_t>(now_ms / 1000)), now_ms % 1000,
                    coloured ? style.colour : "", style.name, coloured ? "\033[m" : "", part,
                    message));
  }
  bool flush() {
    const std::lock_guard lock(mutex_);
    return send_waiting();
  }
  const Outlet& outlet() const { return outlet_; }

 private:
  void put(const std::string& line) {
    if (send_waiting() && untold_ > 0) {
      const uint64_t untold = std::exchange(untold_, 0);
      waiting_ = fmt::format("{} log lines were dropped: nobody read standard error\n", untold);
    }
    if (waiting_.size() + line.size() > kBacklogBytes) {
      ++untold_;
      ++lines_dropped;
      return;
    }
    waiting_ += line;
    send_waiting();
  }
  // True when nothing waits any more.
  bool send_waiting() {
    if (waiting_.empty()) return true;
    const long gone = outlet_.write(waiting_);
    if (gone < 0) {  // the reader is gone, or the disk under the file is full
      ++untold_;
      ++lines_dropped;
      waiting_.clear();
      return true;
    }
    waiting_.erase(0, static_cast<size_t>(gone));
    return waiting_.empty();
  }

  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  const Outlet outlet_{STDERR_FILENO};
  std::mutex mutex_;
  std::string waiting_;
  uint64_t untold_ = 0;  // dropped, and not said yet
};

// Lives as long as the process: the last threads may still have something to say.
Lines& lines() {
  static auto& instance = *std::make_unique<Lines>().release();
  return instance;
}

}  // namespace

void set_level(Level level) { least_level.store(level, std::memory_order_relaxed); }

bool enabled(Level level) { return level >= least_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view part, std::string_view message) {
  if (enabled(level)) lines().add(level, part, message);
}

void flush() { lines().flush(); }

void drain(int limit_ms) {
  const int64_t until_ns = real_clock().monotonic_ns() + int64_t{limit_ms} * 1'000'000;
  while (!lines().flush() && real_clock().monotonic_ns() < until_ns)
    lines().outlet().wait_for_room(50);
}

uint64_t dropped() { return lines_dropped; }

void last_word(std::string_view line) noexcept { (void)lines().outlet().write(line); }

}  // namespace qw::log
