// The one way from a file's path to something that can run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config/read.h"
#include "app/runtime/plan.h"

namespace qw::app {

// `plan` is there when nothing is an error. `problems` has everything in the order of the file:
// those of reading, or, where reading found no error, also those of compiling. A value.
struct Loading {
  std::shared_ptr<const Plan> plan;
  std::vector<Problem> problems;
  size_t errors = 0;  // found; `problems` holds at most Problems::kMost
};

// Reads, checks and compiles. Nothing is started or opened.
Loading load_plan(const std::string& path, const ReadOptions& options = {});

}  // namespace qw::app
