// The end of states that nobody needs any more.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "app/runtime/pipeline.h"
#include "app/runtime/stored_states.h"
#include "base/log.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

constexpr size_t kSweptAtOnce = 32;  // states of a view in a second: each may be read from disk
constexpr int64_t kUnusedSavedEvery = 60;  // seconds

}  // namespace

// Views of earlier plans, by what is kept about their states.
Result<void> Pipeline::find_unused() {
  std::set<std::string, std::less<>> named;
  for (const PlanSource& source : plan_->sources)
    for (const PlanView& view : source.views) named.insert(view.owner);
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

// About once a second.
Result<void> Pipeline::sweep() {
  sweep_owners();
  for (size_t source = 0; source < sources_.size(); ++source)
    QW_TRY(sweep_keys(sources_[source], plan_->sources[source]));
  return {};
}

// In running time, not by the clock, which may be wrong for a while.
void Pipeline::sweep_owners() {
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
    for (const auto& [name, id] : partitions_.known()) {
      txn.erase_meta(store::meta::low_water(owner, id));
      txn.erase_meta(store::meta::lost(owner, id));
    }
    log::info("views", "erased the states of {}, which no plan has named for state_ttl", owner);
    at = unused_.erase(at);
  }
}

// In event time: a key is done with when no event that may still come can have it in a window.
Result<void> Pipeline::sweep_keys(SourceRun& run, const PlanSource& source) {
  store::PendingCommit& open = lane_.open();
  for (auto& [number, partition] : run.partitions) {
    const EventTime watermark = run.gate->watermark(partition.id);
    constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
    if (watermark.value() == kLowest) continue;
    const bool due = partition.swept.value() == kLowest ||
                     watermark.value() - partition.swept.value() >= options_.state_ttl_us / 4;
    if (partition.sweeping.empty() && due) {
      partition.swept = watermark;
      for (size_t index = 0; index < partition.views.size(); ++index)
        partition.sweeping.push_back(index);
    }
    if (partition.sweeping.empty()) continue;
    const size_t index = partition.sweeping.back();
    const features::View& view = *source.views[index].view;
    const int64_t needed = watermark.value() - view.keep_us() - options_.state_ttl_us;
    const auto& table = partition.views[index];
    QW_ASSIGN(const store::Sweep swept,
              table->sweep<ViewState>(open.txn, kSweptAtOnce, [&](const ViewState& state) {
                return state.rows().newest().value() < needed;
              }));
    if (swept.erased > 0)
      open.then.push_back([table, ticket = swept.ticket] { table->committed(ticket); });
    if (swept.ended) partition.sweeping.pop_back();
  }
  return {};
}

}  // namespace qw::app
