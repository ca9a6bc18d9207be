// The kinds of models there are: each is a folder beside this file and a line in builtin.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "models/engine.h"
#include "models/engines/detectors/settings.h"
#include "models/package.h"
#include "models/scoring_engine.h"

namespace qw::models {

// A kind of model, learning or not. `make` reads the package's settings, schemas and artefacts, and
// keeps copies of the artefacts that it reads while it scores. kBadInput names what is wrong with
// the package and how to mend it; kUnsupported: a valid one that this build cannot serve.
struct EngineKind {
  std::string_view name;
  Result<Engine> (*make)(const Package& package);
};
// By name.
std::span<const EngineKind> engine_kinds();
// Whether no two have one name: what registers a name twice does not compile.
constexpr bool named_once(std::span<const EngineKind> kinds) {
  for (size_t one = 0; one < kinds.size(); ++one)
    for (size_t other = one + 1; other < kinds.size(); ++other)
      if (kinds[one].name == kinds[other].name) return false;
  return true;
}
// kBadInput lists the known kinds.
Result<Engine> make_engine(const Package& package);

// Makes a detector of the kind with the given settings; what they do not name has its default.
// kBadInput: no such kind (the message lists the known ones), a setting that check_settings
// refuses, no member with a weight, or a state larger than kStateBytesMax.
inline constexpr size_t kStateBytesMax = size_t{1} << 20;
Result<std::unique_ptr<LearningEngine>> make_detector(std::string_view kind,
                                                      const Settings& settings = {});

}  // namespace qw::models
