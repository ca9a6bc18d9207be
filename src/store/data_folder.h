// What belongs together in a data folder: its FORMAT file says which parts there are, so that one
// that vanished is told from one that never was.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace qw::store {

// The version of everything stored below a data folder. Older versions are read or refused with the
// command that converts them; newer ones are refused.
constexpr int kFormatVersion = 1;

// What FORMAT says. A value. Folders of before have neither an id nor parts.
struct FolderFacts {
  int version = kFormatVersion;
  std::string id;  // random, given once; the database has it, too
  bool has_database = false;
  bool has_registry = false;
  friend bool operator==(const FolderFacts&, const FolderFacts&) = default;
};

// Nothing: there is no FORMAT. kUnsupported: a newer Quickwater wrote it. kCorrupt: it is damaged.
Result<std::optional<FolderFacts>> read_facts(const std::string& folder);
// Durably, whole or not at all. Only by who holds the folder.
Result<void> write_facts(const std::string& folder, const FolderFacts& facts);

// Something that was given up so that the rest goes on. A value.
struct Loss {
  std::string where;
  std::string what;
};

// How damage is mended; follows "how to mend: ".
constexpr const char* kMendDamage =
    "`quickwater doctor --data DIR` says what is whole; restore the data folder from a copy, or "
    "start once with --accept-loss to go on without what is lost";

// "DIR/lost": what is given up is moved there and never removed by this program.
std::string lost_folder(const std::string& data_folder);
// Moves a file or folder there under a name that is free; where it is now.
Result<std::string> set_aside(const std::string& data_folder, const std::string& path);

}  // namespace qw::store
