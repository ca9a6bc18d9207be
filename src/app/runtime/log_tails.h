// What the logs hold and no segment does yet, as files that SQL can read.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::app {

// In the folder of segments; each question has one of its own there, removed once it is answered,
// or at a start.
constexpr const char* kTailsFolder = "tails";

// Writes the records that are in the database alone into new files of `folder` (made; below the
// folder of segments, or an absolute path elsewhere) and returns the statements of the views over
// segments and these. For the thread that rolls, or while nothing runs: a record that became part
// of a segment meanwhile would be missed. `wanted`: asked between two files; false ends it with
// kUnavailable.
Result<std::string> write_tails(const Plan& plan, const store::Store& store,
                                const std::string& folder, const std::function<bool()>& wanted);

// The application file that a data folder was last run with, for who has the folder alone.
void remember_app_file(const Plan& plan, store::Txn& txn);
Result<std::string> remembered_app_file(const store::Store& store);

}  // namespace qw::app
