// Which files a path means, and how a file is known again after a rename.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::streams::file {

// The regular files of a path (a file, a folder with all below it, or a glob), sorted by name.
// kExhausted when there are more than `max_files`; nothing found is an empty list.
Result<std::vector<std::string>> list_files(const std::string& path, size_t max_files);

// "logs/web-1.csv" -> "web-1"
std::string stem_of(std::string_view path);

// An open file. Closes itself. One thread.
class OpenFile {
 public:
  OpenFile() = default;
  ~OpenFile() { close(); }
  OpenFile(OpenFile&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  OpenFile& operator=(OpenFile&& other) noexcept;

  // kNotFound, kIo (says which right is missing).
  Result<void> open(const std::string& path);
  void close();
  bool is_open() const { return descriptor_ >= 0; }
  // Up to `count` bytes at `offset`; fewer only at the end.
  Result<std::string_view> read_at(uint64_t offset, size_t count, std::string& buffer) const;

  struct Identity {
    uint64_t device = 0, inode = 0, size = 0;
    bool same_file(const Identity& other) const {
      return device == other.device && inode == other.inode;
    }
  };
  Result<Identity> identity() const;

 private:
  int descriptor_ = -1;
};
Result<OpenFile::Identity> identity_of(const std::string& path);

// A place in a file that can be found again: by its name, or by its inode after a rotation.
// `head_*` remember its first bytes, so that another content under the same inode is noticed.
struct Place {
  std::string path;
  uint64_t device = 0, inode = 0;
  uint64_t offset = 0;   // of the next record
  uint64_t records = 0;  // read before it in this partition, over all files that had this name
  uint64_t head_hash = 0;
  uint64_t head_bytes = 0;
  // What was read under this name before and may lie beside it under another (newest last).
  struct Past {
    uint64_t device = 0, inode = 0, head_hash = 0, head_bytes = 0;
  };
  std::vector<Past> past;
  std::string extra;  // the counter's open interval
};
std::string encode_place(const Place& place);
Result<Place> decode_place(std::string_view bytes);
constexpr size_t kHeadBytes = 256;
constexpr size_t kPastFiles = 32;

}  // namespace qw::streams::file
