#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/env.h"
#include "base/guard.h"
#include "base/log.h"

namespace qw {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{2};
constexpr seconds kBarEvery{1};
constexpr seconds kLineEvery{10};
constexpr uint64_t kWidth = 20;

}  // namespace

std::string progress_bar(uint64_t done, uint64_t total, int64_t seconds) {
  if (total == 0) return fmt::format("{} s", seconds);
  const uint64_t shown = std::min(done, total);
  const auto filled = static_cast<size_t>(shown * kWidth / total);
  return fmt::format("[{}{}] {} %", std::string(filled, '#'), std::string(kWidth - filled, '-'),
                     shown * 100 / total);
}

Progress::Progress(std::string what, uint64_t total) : what_(std::move(what)), total_(total) {
  // Without it the work is as good.
  (void)guarded("progress", [this] {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      const bool terminal = ::isatty(STDERR_FILENO) == 1;
      const int64_t began_ns = real_clock().monotonic_ns();
      std::mutex mutex;
      std::condition_variable_any wake;
      std::unique_lock lock(mutex);
      for (seconds wait = kPatience; !wake.wait_for(lock, stop, wait, [] { return false; });
           wait = terminal ? kBarEvery : kLineEvery) {
        if (stop.stop_requested()) break;
        const int64_t spent_s = (real_clock().monotonic_ns() - began_ns) / 1'000'000'000;
        const std::string bar = progress_bar(done_, total_, spent_s);
        if (terminal)
          log::last_word(fmt::format("\r\033[K{} {}\r", what_, bar));
        else
          log::info("progress", "{} {}", what_, bar);
      }
      if (terminal) log::last_word("\033[K");
    });
  });
}

Progress::~Progress() = default;

}  // namespace qw
