// Rows that were stored under one schema, read under another: by name.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/batch.h"

namespace qw::schema {

// True when every value of `stored` has the meaning of one of `wanted`, read as the input itself
// would be: the same type, int64 or decimal as double, decimal as a wider decimal.
bool reads_as(const Type& stored, const Type& wanted);

// Made once for a pair of schemas. Columns are found by name, in whatever order: those that the
// stored rows lack are null, those that are no longer wanted are left out. Immutable.
class RowMapping {
 public:
  RowMapping(std::shared_ptr<const Schema> stored, std::shared_ptr<const Schema> wanted);

  const Schema& stored() const { return *stored_; }
  // Columns of `wanted` that stored rows have under a type that does not read as it; they are null.
  const std::vector<size_t>& unreadable() const { return unreadable_; }
  // Appends one row, whose columns are `wanted`'s. kCorrupt when the bytes do not fit `stored`.
  Result<void> read(std::string_view bytes, Batch& out) const;

 private:
  Value convert(Value value, size_t column) const;

  const std::shared_ptr<const Schema> stored_;
  const std::shared_ptr<const Schema> wanted_;
  const bool same_;
  std::vector<std::optional<size_t>> from_;  // of each wanted column
  std::vector<size_t> unreadable_;
};

}  // namespace qw::schema
