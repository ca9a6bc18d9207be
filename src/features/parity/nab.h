// Files of the Numenta Anomaly Benchmark as events: columns metric and value, event time from the
// file (UTC), one series per file.
#pragma once

#include <string>
#include <vector>

#include "features/parity/scenario.h"

namespace qw::features {

// The data files below the folder, in order of their path. kIo when it cannot be read.
Result<std::vector<std::string>> nab_files(const std::string& folder);
// kIo when the file cannot be read; kBadInput with file:line for a row that is no timestamp,value.
Result<schema::EventBatch> read_nab(const std::string& path);

}  // namespace qw::features
