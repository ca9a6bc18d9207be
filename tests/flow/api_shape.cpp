#include "api_shape.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

namespace qw::test {
namespace {

using nlohmann::json;

// Objects whose keys are names of the user's: each value is as the example's first.
bool keyed_by_user(const std::string& path) {
  return (path.ends_with(".features") && path.find("history") != std::string::npos) ||
         path.ends_with(".settings");
}

std::string kind_of(const json& value) {
  if (value.is_number()) return "number";
  return value.type_name();
}

void compare(const json& example, const json& answer, const std::string& path,
             std::vector<std::string>& found) {
  if (example.is_null() || answer.is_null()) return;
  if (kind_of(example) != kind_of(answer)) {
    found.push_back(path + ": " + kind_of(example) + " expected, not " + answer.dump());
  } else if (example.is_array()) {
    for (size_t at = 0; at < answer.size() && !example.empty(); ++at)
      compare(example[0], answer[at], path + "[" + std::to_string(at) + "]", found);
  } else if (example.is_object() && keyed_by_user(path)) {
    for (const auto& [key, value] : answer.items())
      if (value.is_structured()) compare(*example.begin(), value, path + "." + key, found);
  } else if (example.is_object()) {
    for (const auto& [key, value] : example.items()) {
      if (answer.contains(key))
        compare(value, answer[key], path + "." + key, found);
      else
        found.push_back(path + "." + key + ": is missing");
    }
  }
}

}  // namespace

json example_of(const std::string& name) {
  std::ifstream stream(std::string(QUICKWATER_SOURCE_FOLDER) + "/docs/reference/api.md");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const std::string mark = "```json " + name + "\n";
  const size_t begin = text.find(mark);
  EXPECT_NE(begin, std::string::npos) << name;
  if (begin == std::string::npos) return {};
  const size_t end = text.find("```", begin + mark.size());
  json example = json::parse(text.substr(begin + mark.size(), end - begin - mark.size()));
  return json{{name, std::move(example)}};
}

std::vector<std::string> differences(const json& example, const json& answer) {
  std::vector<std::string> found;
  const std::string name = example.begin().key();
  compare(example[name], answer, name, found);
  return found;
}

}  // namespace qw::test
