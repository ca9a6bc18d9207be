// By whom the states under a version's name were made.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "serve/learning_model.h"
#include "store/store.h"

namespace qw::serve {

enum class StatesAre : uint8_t {
  kOurs,
  kNobodys,   // there are none
  kAnothers,  // another definition left them under this version's name
};
// Of states from before definitions were stored only the size can tell.
Result<StatesAre> states_of(const store::Store& store, const LearningVersion& version);

// What the store keeps as the version's definition.
std::string definition_of(const LearningVersion& version);

}  // namespace qw::serve
