// YAML text as a tree with places. The only door to yaml-cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/app_file.h"
#include "app/config/problems.h"

namespace qw::app {

constexpr size_t kAppFileBytesMax = 1'000'000;
constexpr size_t kYamlDepthMax = 32;
constexpr size_t kYamlKeysMax = 10'000;     // of one group
constexpr size_t kYamlValuesMax = 100'000;  // with aliases filled in

struct YamlNode;
using YamlPtr = std::shared_ptr<const YamlNode>;

// One key of a map with what it holds.
struct YamlEntry {
  std::string key;
  Place place;  // of the key
  YamlPtr value;
};

// One value of the file. Shared by the aliases that mean it; immutable once parsed.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Place place;
  std::string text;         // scalar
  bool one_to_one = false;  // scalar: `text` stands in the file as it is, from `place` on
  std::vector<YamlPtr> items;
  std::vector<YamlEntry> entries;  // in order; keys are unique
  size_t values = 1;               // this and all below

  // The entry's value, or null when there is none.
  const YamlEntry* find(std::string_view key) const;
};

// The file's one document. Null when it cannot be parsed at all (`problems` says why); duplicate
// keys are reported, the first holds. Never throws.
YamlPtr parse_yaml(const std::string& text, Problems& problems);

}  // namespace qw::app
