// "Did you mean": the known name that is nearest to a wrong one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qw::features {

// The candidate within a third of the name's length in edits (case ignored), or "".
std::string nearest_name(std::string_view wrong, const std::vector<std::string>& candidates);
// "did you mean 'x'?", or "use one of a, b, c" when nothing is near.
std::string suggest(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace qw::features
