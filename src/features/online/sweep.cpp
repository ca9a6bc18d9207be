// The end of states that nobody needs any more.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/log.h"
#include "features/online/feature_store.h"
#include "features/online/view_states.h"
#include "store/commit/meta_names.h"

namespace qw::features {
namespace {

constexpr size_t kSweptAtOnce = 32;  // states of a view in a second: each may be read from disk
constexpr int64_t kUnusedSavedEvery = 60;  // seconds

}  // namespace

// Views of earlier plans, by what is kept about their states.
Result<void> FeatureStore::open() {
  std::set<std::string, std::less<>> named;
  for (const Source& source : sources_)
    for (const StoredView& view : source.features->views) named.insert(view.owner);
  const std::string views = store::meta::low_waters_of_views();
  QW_TRY(store_.scan_meta(views, [&](std::string_view name, std::string_view) {
    const auto low = store::meta::parse_low_water(name);
    if (low && !named.contains(low->owner)) unused_.emplace(low->owner, 0);
    return true;
  }));
  for (const std::string& owner : named) lane_.open().txn.erase_meta(store::meta::unused(owner));
  for (auto& [owner, seconds] : unused_) {
    QW_ASSIGN(const auto saved, store_.get_meta(store::meta::unused(owner)));
    if (saved) seconds = std::stoll(*saved);
  }
  return {};
}

Result<void> FeatureStore::sweep(const Watermark& watermark) {
  sweep_owners();
  for (size_t source = 0; source < sources_.size(); ++source)
    for (auto& [number, partition] : sources_[source].partitions)
      QW_TRY(sweep_partition(partition, watermark(source, partition.id)));
  return {};
}

// In running time, not by the clock, which may be wrong for a while.
void FeatureStore::sweep_owners() {
  store::Txn& txn = lane_.open().txn;
  for (auto at = unused_.begin(); at != unused_.end();) {
    const auto& [owner, seconds] = *at;
    if (++at->second * 1'000'000 < options_.state_ttl_us) {
      if (seconds % kUnusedSavedEvery == 0)
        txn.put_meta(store::meta::unused(owner), std::to_string(seconds));
      ++at;
      continue;
    }
    txn.erase_owner(owner);
    txn.erase_meta(store::meta::unused(owner));
    for (const auto& [name, id] : partition_ids_.known()) {
      txn.erase_meta(store::meta::low_water(owner, id));
      txn.erase_meta(store::meta::lost(owner, id));
    }
    log::info("views", "erased the states of {}, which no plan has named for state_ttl", owner);
    at = unused_.erase(at);
  }
}

// In event time: a key is done with when no event that may still come can have it in a window.
Result<void> FeatureStore::sweep_partition(FeaturePartition& partition, EventTime watermark) {
  if (watermark == FeaturePartition::kNone) return {};
  const bool due = partition.swept == FeaturePartition::kNone ||
                   watermark.value() - partition.swept.value() >= options_.state_ttl_us / 4;
  if (partition.sweeping.empty() && due) {
    partition.swept = watermark;
    for (size_t index = 0; index < partition.views.size(); ++index)
      partition.sweeping.push_back(index);
  }
  if (partition.sweeping.empty()) return {};
  const size_t index = partition.sweeping.back();
  const View& view = *features_of(partition).views[index].view;
  const int64_t needed = watermark.value() - view.keep_us() - options_.state_ttl_us;
  const auto& table = partition.views[index];
  store::PendingCommit& open = lane_.open();
  QW_ASSIGN(const store::Sweep swept,
            table->sweep<ViewState>(open.txn, kSweptAtOnce, [&](const ViewState& state) {
              return state.rows().newest().value() < needed;
            }));
  if (swept.erased > 0)
    open.then.push_back([table, ticket = swept.ticket] { table->committed(ticket); });
  if (swept.ended) partition.sweeping.pop_back();
  return {};
}

}  // namespace qw::features
