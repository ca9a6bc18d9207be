// One case file: a definition, events with their facts, reads, and one expected answer for each.
// README.md in this folder shows the format.
#pragma once

#include <string>
#include <vector>

#include "features/parity/scenario.h"

namespace qw::cases {

struct Expected {
  std::string name;  // "n_10s", or a derived feature's
  schema::Value value;
  std::string status;  // of the live feature; "" is present
};

struct CaseFile {
  std::string path;
  features::Scenario scenario;
  std::vector<std::vector<Expected>> expected;  // for each read
  std::string no_oracle;                        // why the oracle cannot take part; "" if it does
};

// kBadInput with path:line for anything it does not understand.
Result<CaseFile> read_case_file(const std::string& path);

}  // namespace qw::cases
