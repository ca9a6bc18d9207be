// Shows how far long work is: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace qw {

// Says nothing of work that takes less than two seconds. at() costs a store; the words come from a
// thread of its own (a machine that gives none shows nothing). Standard error.
class Progress {
 public:
  // `total` 0: unknown, the time alone is told.
  explicit Progress(std::string what, uint64_t total = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void at(uint64_t done) { done_.store(done, std::memory_order_relaxed); }
  void add() { done_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const std::string what_;
  const uint64_t total_;
  std::atomic<uint64_t> done_{0};
  std::jthread thread_;
};

// "[#####---------------] 25 %"; "12 s" where the total is not known.
std::string progress_bar(uint64_t done, uint64_t total, int64_t seconds);

}  // namespace qw
