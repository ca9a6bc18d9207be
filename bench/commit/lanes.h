// What an append costs its writer while others write and commits go on.
#pragma once

#include "base/result.h"
#include "report.h"

namespace qw::bench {

// 50,000 records/s of 200 bytes through one lane, as the pipeline writes its events, and beside it
// eight threads that each append 1,000 records/s of 1 KB through a lane of their own, for
// `seconds`; a commit with fdatasync every 5 ms.
Result<void> measure_lanes(Report& report, int seconds);

}  // namespace qw::bench
