#include "features/online/entities.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "features/online/view_states.h"

namespace qw::features {

Entities::Entities(ViewPtr view, size_t index, std::shared_ptr<store::MemoryBudget> memory)
    : view_(std::move(view)), index_(index), worker_(view_), memory_(std::move(memory)) {}
Entities::~Entities() = default;

Result<void> Entities::add(const FeaturePartition& partition) {
  const std::lock_guard lock(mutex_);
  if (parts_.size() >= KeyJoin::kPartitionsMost)
    return Error{ErrorCode::kExhausted, "too many partitions", view_->name(), ""};
  // Ranks change.
  while (!joined_.empty()) forget(joined_.begin());
  const auto after = std::ranges::find_if(
      parts_, [&](const Part& part) { return part.partition->number > partition.number; });
  parts_.insert(after, Part{&partition, {}});
  if (parts_.size() < 2) return {};
  for (Part& part : parts_) {
    if (several_ && part.partition != &partition) continue;
    QW_TRY(part.partition->views[index_]->each_key(
        [&](std::string_view key) { part.keys.add(checksum64(key)); }));
  }
  several_ = true;
  return {};
}

void Entities::remove(const FeaturePartition& partition) {
  const std::lock_guard lock(mutex_);
  while (!joined_.empty()) forget(joined_.begin());
  std::erase_if(parts_, [&](const Part& part) { return part.partition == &partition; });
}

size_t Entities::rank_of(const FeaturePartition& partition) const {
  return static_cast<size_t>(std::ranges::find(parts_, &partition, &Part::partition) -
                             parts_.begin());
}

void Entities::followed(const FeaturePartition& partition, std::string_view key,
                        const schema::Batch& rows, size_t row, const schema::EventFacts& facts,
                        Applied applied, EventTime own_missing) {
  if (!several_) return;
  const std::lock_guard lock(mutex_);
  const size_t rank = rank_of(partition);
  parts_[rank].keys.add(checksum64(key));
  const auto at = joined_.find(key);
  if (at == joined_.end()) return;
  Joined& joined = at->second;
  if (std::ranges::find(joined.parts, rank) == joined.parts.end()) joined.parts.push_back(rank);
  schema::EventFacts in_join = facts;
  in_join.seq = KeyJoin::seq_in(rank, facts.seq);
  joined.state.follow(worker_, rows, row, in_join, applied, own_missing);
  account(at);
}

bool Entities::may_be_elsewhere(size_t own, std::string_view key) const {
  const uint64_t hash = checksum64(key);
  for (size_t rank = 0; rank < parts_.size(); ++rank)
    if (rank != own && parts_[rank].keys.may_hold(hash)) return true;
  return false;
}

Result<KeyState> Entities::join(std::string_view key, std::vector<size_t>& parts) const {
  const uint64_t hash = checksum64(key);
  KeyJoin join(*view_);
  for (size_t rank = 0; rank < parts_.size(); ++rank) {
    if (!parts_[rank].keys.may_hold(hash)) continue;
    const auto added = parts_[rank].partition->views[index_]->with_state<ViewState>(
        key, [&](const ViewState& state) { join.add(rank, state.rows()); });
    if (added.ok())
      parts.push_back(rank);
    else if (added.error().code != ErrorCode::kNotFound)
      return added.error();
  }
  return join.finish();
}

Result<Entities::Map::iterator> Entities::find(size_t own, std::string_view key) {
  const auto found = joined_.find(key);
  if (found != joined_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second.recent);
    return found;
  }
  if (!may_be_elsewhere(own, key)) return joined_.end();
  std::vector<size_t> parts;
  QW_ASSIGN(KeyState state, join(key, parts));
  if (parts.empty() || parts == std::vector<size_t>{own}) return joined_.end();
  const auto made = joined_.emplace(key, Joined(std::move(state))).first;
  made->second.parts = std::move(parts);
  made->second.recent = recent_.insert(recent_.begin(), made->first);
  account(made);
  return made;
}

// The state at hand stays.
void Entities::account(Map::iterator at) {
  constexpr size_t kEntryBytes = sizeof(Joined) + 200;
  Joined& joined = at->second;
  const size_t bytes = kEntryBytes + at->first.size() + joined.state.bytes();
  memory_.change(static_cast<int64_t>(bytes) - static_cast<int64_t>(joined.bytes));
  joined.bytes = bytes;
  recent_.splice(recent_.begin(), recent_, joined.recent);
  while (memory_.asks() && recent_.size() > 1) {
    memory_.evicted();
    forget(joined_.find(recent_.back()));
  }
}

void Entities::forget(Map::iterator at) {
  memory_.change(-static_cast<int64_t>(at->second.bytes));
  recent_.erase(at->second.recent);
  joined_.erase(at);
}

EventTime Entities::earliest(EventTime at) const {
  int64_t first = std::numeric_limits<int64_t>::max();
  for (const Window& window : view_->windows())
    first = std::min(first, window.first_inside(at.value()));
  return EventTime{first};
}

EventTime Entities::lost(const std::vector<size_t>& parts) const {
  EventTime lost = FeaturePartition::kNone;
  for (const size_t rank : parts) lost = std::max(lost, parts_[rank].partition->lost[index_]);
  return lost;
}

Result<bool> Entities::read(const FeaturePartition& own, std::string_view key, ReadPoint point,
                            const Look& look, Holders& holders) {
  holders.clear();
  if (!several_) return false;
  const std::lock_guard lock(mutex_);
  const size_t rank = rank_of(own);
  QW_ASSIGN(const auto found, find(rank, key));
  if (found == joined_.end()) return false;
  const Joined& joined = found->second;
  for (const size_t part : joined.parts) holders.push_back(parts_[part].partition);
  point.seq = KeyJoin::seq_in(rank, point.seq);
  point.lost = lost(joined.parts);
  if (joined.state.missing() < earliest(point.event_time)) {
    look(joined.state, point);
    return true;
  }
  // The event lies behind what the entity's newest events still need. The partitions, each of which
  // went by its own newest, may have more.
  std::vector<size_t> parts;
  QW_ASSIGN(const KeyState state, join(key, parts));
  look(state, point);
  return true;
}

size_t Entities::kept() const {
  const std::lock_guard lock(mutex_);
  return joined_.size();
}

}  // namespace qw::features
