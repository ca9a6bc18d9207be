// Writes to a descriptor that somebody else may read, or not, and never waits for them.
#pragma once

#include <string_view>

namespace qw {

// A pipe, terminal or socket that is not read is full at some time, and a write to it would wait
// for ever. Does not own the descriptor it is made of. One thread at a time, but for a signal's
// handler.
class Outlet {
 public:
  explicit Outlet(int descriptor);
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  // How much went, from the front; less than all when there was no room, -1 and errno for another
  // reason.
  long write(std::string_view bytes) const;
  // A file on a disk: all goes, or none.
  bool is_file() const { return kind_ == Kind::kFile; }
  // Waits until there may be room, at most so long. False: there is none.
  bool wait_for_room(int limit_ms) const;

 private:
  enum class Kind { kFile, kOwn, kSocket, kShared };
  const int descriptor_;
  Kind kind_ = Kind::kFile;
  int own_ = -1;  // of kOwn: the same pipe or terminal, opened anew so as not to wait
};

}  // namespace qw
