// Lets readers in until the database has to be closed and opened again.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace qw::store::internal {

// Many readers, or one thread that reopens. Unlike a shared mutex it promises that a reader may
// come back in while somebody waits to reopen: a visitor may read the store, or wait for a lock
// under which another thread reads it. No deadlock follows, because nobody waits here but the one
// who reopens (for readers, holding no lock of theirs) and readers while it does (it takes no other
// lock).
class ReaderGate {
 public:
  // Inside as long as it lives.
  class Reading {
   public:
    explicit Reading(ReaderGate& gate) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait(lock, [this] { return !gate_.closed_; });
      ++gate_.readers_;
    }
    ~Reading() {
      const std::lock_guard lock(gate_.mutex_);
      if (--gate_.readers_ == 0) gate_.changed_.notify_all();
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    ReaderGate& gate_;
  };

  // No reader is inside as long as it lives.
  class Closed {
   public:
    explicit Closed(ReaderGate& gate) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait(lock, [this] { return gate_.readers_ == 0; });
      gate_.closed_ = true;
    }
    ~Closed() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.closed_ = false;
      gate_.changed_.notify_all();
    }
    Closed(const Closed&) = delete;
    Closed& operator=(const Closed&) = delete;

   private:
    ReaderGate& gate_;
  };

 private:
  std::mutex mutex_;  // held for a count only
  std::condition_variable changed_;
  size_t readers_ = 0;
  bool closed_ = false;
};

}  // namespace qw::store::internal
