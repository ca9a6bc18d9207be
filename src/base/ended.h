// Whether a thread's work is over, for who waits for it no longer than so long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace qw {

// tell() once, as the last thing of the work; within() from any thread.
class Ended {
 public:
  void tell() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    told_.notify_all();
  }
  bool within(int64_t limit_ms) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, std::chrono::milliseconds(limit_ms), [this] { return over_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  bool over_ = false;
};

}  // namespace qw
