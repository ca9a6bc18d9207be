// The examples of docs/reference/api.md as shapes that real answers must have.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace qw::test {

// The ```json NAME block of the document.
nlohmann::json example_of(const std::string& name);

// Every key of the example that the answer has not, or has as another type, by its path. A null in
// either stands for any type; every element of a list must be as the example's first.
std::vector<std::string> differences(const nlohmann::json& example, const nlohmann::json& answer);

}  // namespace qw::test
