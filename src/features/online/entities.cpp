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
    QW_TRY(part.partition->views[index_]->each_key([&](std::string_view key) { note(part, key); }));
  }
  several_ = true;
  return {};
}

void Entities::note(Part& part, std::string_view key) {
  const uint64_t hash = checksum64(key);
  if (anywhere_.may_hold(hash)) in_several_.add(hash);
  anywhere_.add(hash);
  part.keys.add(hash);
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
                        bool is_new, Applied applied, EventTime own_missing) {
  if (!several_) return;
  const std::lock_guard lock(mutex_);
  const size_t rank = rank_of(partition);
  if (is_new) note(parts_[rank], key);
  const auto at = joined_.find(key);
  if (at == joined_.end()) return;
  Joined& joined = at->second;
  if (std::ranges::find(joined.parts, rank) == joined.parts.end()) joined.parts.push_back(rank);
  schema::EventFacts in_join = facts;
  in_join.seq = KeyJoin::seq_in(rank, facts.seq);
  joined.state.follow(worker_, rows, row, in_join, applied, own_missing);
  account(at);
}

std::vector<size_t> Entities::candidates(std::string_view key) const {
  const uint64_t hash = checksum64(key);
  std::vector<size_t> ranks;
  for (size_t rank = 0; rank < parts_.size(); ++rank)
    if (!several_ || parts_[rank].keys.may_hold(hash)) ranks.push_back(rank);
  return ranks;
}

Result<KeyState> Entities::join(std::string_view key, std::vector<size_t>& parts) const {
  KeyJoin join(*view_);
  for (const size_t rank : candidates(key)) {
    const auto added = parts_[rank].partition->views[index_]->with_state<ViewState>(
        key, [&](const ViewState& state) { join.add(rank, state.rows()); });
    if (added.ok())
      parts.push_back(rank);
    else if (added.error().code != ErrorCode::kNotFound)
      return added.error();
  }
  return join.finish();
}

Entities::Map::iterator Entities::keep(std::string_view key, KeyState state,
                                       std::vector<size_t> parts) {
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
  point.seq = KeyJoin::seq_in(rank, point.seq);
  auto at = joined_.find(key);
  if (at == joined_.end()) {
    if (!in_several_.may_hold(checksum64(key))) return false;
    std::vector<size_t> parts;
    QW_ASSIGN(KeyState state, join(key, parts));
    if (parts.empty() || parts == std::vector<size_t>{rank}) return false;
    at = keep(key, std::move(state), std::move(parts));
  }
  QW_TRY(look_at(at, point, look, holders));
  return true;
}

Result<bool> Entities::read(std::string_view key, ReadPoint point, const Look& look,
                            Holders& holders) {
  holders.clear();
  const std::lock_guard lock(mutex_);
  auto at = joined_.find(key);
  if (at == joined_.end()) {
    std::vector<size_t> parts = candidates(key);
    if (parts.size() == 1) return read_one(parts[0], key, point, look, holders);
    parts.clear();
    QW_ASSIGN(KeyState state, join(key, parts));
    if (parts.empty()) return false;
    if (parts.size() == 1) return read_one(parts[0], key, point, look, holders);
    at = keep(key, std::move(state), std::move(parts));
  }
  QW_TRY(look_at(at, point, look, holders));
  return true;
}

Result<bool> Entities::read_one(size_t rank, std::string_view key, ReadPoint point,
                                const Look& look, Holders& holders) const {
  const FeaturePartition& only = *parts_[rank].partition;
  point.lost = only.lost[index_];
  const auto read = only.views[index_]->with_state<ViewState>(
      key, [&](const ViewState& state) { look(state.rows(), point); });
  if (!read.ok() && read.error().code != ErrorCode::kNotFound) return read.error();
  if (read.ok()) holders.push_back(&only);
  return read.ok();
}

Result<void> Entities::look_at(Map::iterator at, ReadPoint point, const Look& look,
                               Holders& holders) {
  const Joined& joined = at->second;
  recent_.splice(recent_.begin(), recent_, joined.recent);
  for (const size_t part : joined.parts) holders.push_back(parts_[part].partition);
  point.lost = lost(joined.parts);
  if (joined.state.missing() < earliest(point.event_time)) {
    look(joined.state, point);
    return {};
  }
  // The moment lies behind what the entity's newest events still need. The partitions, each of
  // which went by its own newest, may have more.
  std::vector<size_t> parts;
  QW_ASSIGN(const KeyState state, join(at->first, parts));
  look(state, point);
  return {};
}

size_t Entities::kept() const {
  const std::lock_guard lock(mutex_);
  return joined_.size();
}

}  // namespace qw::features
