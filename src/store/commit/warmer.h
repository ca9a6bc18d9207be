// Catches up, in the background, what a start left to be replayed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/env.h"
#include "store/commit/checkpointer.h"
#include "store/commit/lane.h"

namespace qw::store {

// Owns a thread that warms the tables of a Checkpointer, the keys that changed last first, so that
// whoever asks for one finds it in memory. It takes at most half of the time of one processor: the
// events of now come first. Tables may be added at any time. Lane, checkpointer and clock outlive
// it; start() and stop() by one thread. A key that cannot be read is left to whoever asks for it,
// who meets the same trouble and says so.
class Warmer {
 public:
  Warmer(Lane& lane, const Checkpointer& checkpointer, const Clock& clock)
      : lane_(lane), checkpointer_(checkpointer), clock_(clock) {}
  ~Warmer() { stop(); }

  void start();
  // Waits for the key in work.
  void stop() { thread_ = {}; }

 private:
  void run(const std::stop_token& stop);

  Lane& lane_;
  const Checkpointer& checkpointer_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;
};

}  // namespace qw::store
