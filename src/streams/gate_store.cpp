// The gate's way to and from the store.
#include "store/commit/meta_names.h"
#include "store/store.h"
#include "streams/gate.h"

namespace qw::streams {

void Gate::stage(store::Txn& txn) {
  const StoredChanges changes = take_changes();
  for (const auto& [name, value] : changes.put) txn.put_meta(name, value);
  for (const std::string& name : changes.erase) txn.erase_meta(name);
  for (const std::string& prefix : changes.erase_prefix) txn.erase_meta_prefix(prefix);
}

// `store` is asked for ids later on, and outlives the gate.
Result<void> Gate::restore(const store::Store& store) {
  look_up_with([&store](std::string_view name) { return store.get_meta(name); });
  Result<void> outcome;
  const auto take = [&](std::string_view name, std::string_view value) {
    outcome = restore_value(name, value);
    return outcome.ok();
  };
  QW_TRY(store.scan_meta(meta_prefix() + std::string(store::meta::kGatePartition), take));
  for (const std::string_view part : SeenIds::kRestored) {
    QW_TRY(outcome);
    QW_TRY(store.scan_meta(meta_prefix() + std::string(part), take));
  }
  return outcome;
}

}  // namespace qw::streams
