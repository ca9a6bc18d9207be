// Where a version comes from, as far as others than people read it.
#pragma once

#include <string>

namespace qw::models {

// Of VersionInfo::lineage; empty where it says nothing. A value.
struct LineageFacts {
  std::string run_id;
  std::string then;  // "swap", "publish"
};
LineageFacts lineage_facts(const std::string& json);

}  // namespace qw::models
