// A data folder is opened: its parts belong together, and the database ends where it ended.
#pragma once

#include <vector>

#include "store/data_folder.h"
#include "store/internal/database.h"
#include "store/internal/end_mark.h"
#include "store/store.h"

namespace qw::store::internal {

// What a Store holds of its folder. Moved, never copied.
struct Opened {
  Database database;
  EndMarkFile end;
  FolderFacts facts;
  std::vector<Loss> losses;  // what was accepted
};

// The folder's lock is held, and `options.boot` is set. Nothing is changed before it is known what
// is missing. kCorrupt, kUnsupported, kExhausted (full disk), kIo.
Result<Opened> open_folder(const StoreOptions& options);

// The same for who only reads: nothing is changed. kNotFound: there is no database, and there was
// none.
Result<Opened> look_at_folder(const StoreOptions& options);

// kExhausted while less than the options' minimum is free; to open the database, the size of its
// logs must be free as well: it rewrites what they hold.
Result<void> require_space(const StoreOptions& options, bool opening);

}  // namespace qw::store::internal
