// How states stand in the store: by whom they were made, by which definition, and how far they have
// come.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "serve/learning_model.h"
#include "store/store.h"

namespace qw::app {

// Up to here every state of the owner (a StateId's) is on disk; Seq{0}: none is.
Result<Seq> stored_low_water(const store::Store& store, const std::string& owner,
                             PartitionId partition);
// Of every partition where the owner has one.
Result<std::map<PartitionId, Seq>> stored_low_waters(const store::Store& store,
                                                     const std::string& owner);

enum class StatesAre : uint8_t {
  kOurs,
  kNobodys,   // there are none
  kAnothers,  // another definition left them under this version's name
};
// Of states from before definitions were stored only the size can tell.
Result<StatesAre> states_of(const store::Store& store, const serve::LearningVersion& version);

// What the store keeps as the version's definition.
std::string definition_of(const serve::LearningVersion& version);

}  // namespace qw::app
