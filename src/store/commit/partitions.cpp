#include "store/commit/partitions.h"

#include <algorithm>
#include <charconv>

#include "store/commit/meta_names.h"

namespace qw::store {

Result<void> Partitions::open(const Store& store) {
  bool damaged = false;
  QW_TRY(store.scan_meta(meta::kPartition, [&](std::string_view name, std::string_view value) {
    uint32_t number = 0;
    damaged |= std::from_chars(value.data(), value.data() + value.size(), number).ec != std::errc{};
    ids_.emplace(meta::parse_partition(name), PartitionId{number});
    last_ = std::max(last_, number);
    return true;
  }));
  if (damaged)
    return Error{ErrorCode::kCorrupt, "the list of partitions is damaged", store.folder(),
                 "restore the data folder from a copy"};
  return {};
}

PartitionId Partitions::id_of(const std::string& name, Txn& txn) {
  const auto found = ids_.find(name);
  if (found != ids_.end()) return found->second;
  const PartitionId id{++last_};
  ids_.emplace(name, id);
  txn.put_meta(meta::partition(name), std::to_string(id.value()));
  return id;
}

}  // namespace qw::store
