// The gate's way to and from the store.
#include "store/store.h"
#include "streams/gate.h"

namespace qw::streams {

void Gate::stage(store::Txn& txn) {
  const Changes changes = take_changes();
  for (const auto& [name, value] : changes.put) txn.put_meta(name, value);
  for (const std::string& name : changes.erase) txn.erase_meta(name);
}

Result<void> Gate::restore(const store::Store& store) {
  Result<void> outcome;
  QW_TRY(store.scan_meta(meta_prefix(), [&](std::string_view name, std::string_view value) {
    outcome = restore_value(name, value);
    return outcome.ok();
  }));
  return outcome;
}

}  // namespace qw::streams
