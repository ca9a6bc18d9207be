// Files written so that a crash leaves either the old or the new content.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

// kNotFound, kIo, kExhausted when the file is larger than `max_bytes`.
Result<std::string> read_file(const std::string& path, size_t max_bytes = 256u << 20);
// Temporary name, write, fsync, rename, fsync of the folder. kIo, kExhausted (disk full).
Result<void> write_file_atomically(const std::string& path, std::string_view bytes);
// Makes a rename or a new file in this folder durable.
Result<void> sync_folder(const std::string& folder);
// Creates the folder and its parents when they are missing.
Result<void> make_folders(const std::string& folder);

// checksum64 of a file's bytes, read piece by piece. kNotFound, kIo.
Result<uint64_t> file_checksum64(const std::string& path);

// Lower-case hexadecimal SHA-256.
std::string sha256_hex(std::string_view bytes);

}  // namespace qw
