// From YAML to AppFile: the one way in.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/config/app_file.h"
#include "app/config/problems.h"
#include "base/result.h"

namespace qw::app {

// What a variable of the environment holds; nullopt when it is not set. The process's own is
// environment_variable().
using Variables = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> environment_variable(const std::string& name);

// How to read. A value; `consulted` outlives the reading.
struct ReadOptions {
  Variables variables = environment_variable;
  // false: ${VAR} and file:PATH are checked for form only, so that a file can be validated where
  // its secrets are not.
  bool resolve = true;
  // Tests: paths of the settings table that the reader asked for.
  std::set<std::string>* consulted = nullptr;
};

// `app` is there when nothing is an error. `problems` has everything, warnings and notes too.
struct Reading {
  std::optional<AppFile> app;
  std::vector<Problem> problems;
  size_t errors = 0;  // found; `problems` holds at most Problems::kMost
};

// Reads, checks shape, fills in defaults, resolves secrets, checks that names lead somewhere.
Reading read_app_file(const std::string& path, const ReadOptions& options = {});
// The same from text; `path` is what places are called by and relative paths start from.
Reading read_app_text(const std::string& text, const std::string& path,
                      const ReadOptions& options = {});
// For callers that only need a good file: the first error, with how many more there are.
Result<AppFile> load_app_file(const std::string& path, const ReadOptions& options = {});

}  // namespace qw::app
