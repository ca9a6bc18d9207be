// Where the database ended when it was last seen: what a start must find again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace qw::store::internal {

// Sequence numbers are RocksDB's: every change has one, none is left out.
struct EndMark {
  std::string boot;      // the machine's boot during which it was written
  uint64_t written = 0;  // survives the process: found again during the same boot
  uint64_t synced = 0;   // survives the machine
  // What must be there when the machine's boot is `boot` now.
  uint64_t must_hold(const std::string& boot_now) const {
    return boot == boot_now ? written : synced;
  }
};

// "DIR/db-end": a few bytes beside the database, written over after each commit. RocksDB takes a
// log that ends early for one that a crash tore, whatever is missing; this tells the two apart. It
// is not synced: after a power cut it may be older than the database, which asks less, and never
// newer than what was synced.
//
// Owns the open file. One thread at a time. A disk that refuses it only makes it older.
class EndMarkFile {
 public:
  // Nothing: there is none, or not a whole one.
  static std::optional<EndMark> read(const std::string& folder);
  static std::string path(const std::string& folder);
  // Creates or replaces it, durably.
  static Result<EndMarkFile> begin(const std::string& folder, EndMark mark);

  EndMarkFile() = default;
  ~EndMarkFile();
  EndMarkFile(EndMarkFile&& other) noexcept;
  EndMarkFile& operator=(EndMarkFile&& other) noexcept;
  // After a commit whose last change has this number.
  void note(uint64_t last, bool synced);

 private:
  Result<void> write() const;
  int file_ = -1;
  std::string path_;
  EndMark mark_;
};

// Changes with every start of the machine, and in a container with the machine's.
std::string boot_of_machine();

}  // namespace qw::store::internal
