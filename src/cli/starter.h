// The application that `quickwater new` writes.
#pragma once

#include <string>

namespace qw::cli {

// A commented application file that validates as it is. `name` is a valid name.
std::string starter_app(const std::string& name);

}  // namespace qw::cli
