// What of a data folder is whole, damaged or missing. Changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::app {

enum class Health : uint8_t { kWhole, kNote, kUnread, kDamaged, kMissing };
std::string_view name_of(Health health);

// One part of a data folder. A value.
struct Finding {
  Health health = Health::kWhole;
  std::string part;    // "database", "segments", a path
  std::string detail;  // what was found; of damage, what is wrong
  std::string mend;    // of damage
};

// Reads every byte that has a checksum: the database's tables and log, segments, the registry, the
// packages. A folder that an application has open is examined but for its database, on which the
// application has its hands. kNotFound: there is no such folder.
Result<std::vector<Finding>> examine_data(const std::string& folder);

}  // namespace qw::app
