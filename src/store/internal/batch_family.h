// Handles of the column families for building write batches without an open database.
#pragma once

#include "store/internal/keys.h"

namespace rocksdb {
class ColumnFamilyHandle;
}

namespace qw::store::internal {

// Lives for the whole process; good for naming the family in a batch, nothing else.
rocksdb::ColumnFamilyHandle* batch_family(Family family);

}  // namespace qw::store::internal
