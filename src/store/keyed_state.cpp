#include "store/keyed_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/bytes.h"

namespace qw::store {

void KeyedTable::Pending::add(Seq seq) {
  ByteWriter(differences).varint(seq.value() - last.value());
  if (count == 0) first = seq;
  last = seq;
  ++count;
}

std::vector<Seq> KeyedTable::Pending::seqs() const {
  std::vector<Seq> all;
  all.reserve(count);
  ByteReader reader(differences);
  uint64_t seq = 0;
  while (!reader.done()) all.emplace_back(seq += reader.varint());
  return all;
}

KeyedTable::KeyedTable(const Store& store, KeyedTableOptions options,
                       std::shared_ptr<const KeyedStateKind> kind)
    : store_(store),
      options_(std::move(options)),
      kind_(std::move(kind)),
      memory_(options_.memory ? options_.memory
                              : std::make_shared<MemoryBudget>(options_.memory_limit_bytes)) {}

StateId KeyedTable::id_of(std::string_view key) const {
  return StateId{options_.owner, options_.partition, std::string(key)};
}

void KeyedTable::add_pending(std::string_view key, Seq seq) {
  const std::lock_guard lock(mutex_);
  auto found = pending_.find(key);
  if (found == pending_.end()) found = pending_.emplace(key, Pending()).first;
  QW_ASSERT(seq > found->second.last);
  found->second.add(seq);
  ++pending_records_;
}

Result<void> KeyedTable::finish_recovery(int64_t now_us) {
  const std::lock_guard lock(mutex_);
  const auto drop_applied = [&](std::string_view key, Seq applied) {
    const auto found = pending_.find(key);
    if (found == pending_.end() || applied < found->second.first) return true;
    Pending rest;
    for (const Seq seq : found->second.seqs())
      if (seq > applied) rest.add(seq);
    pending_records_ -= found->second.count - rest.count;
    if (rest.count == 0)
      pending_.erase(found);
    else
      found->second = std::move(rest);
    return true;
  };
  if (!pending_.empty())
    QW_TRY(store_.scan_states(options_.owner, options_.partition, drop_applied));
  recovered_ = true;
  std::vector<std::pair<Seq, std::string_view>> by_last;
  for (auto& [key, pending] : pending_) {
    pending.due = due_of(key, pending.first, now_us);
    pending_due_.insert(pending.due);
    first_unapplied_.emplace(pending.first, key);
    by_last.emplace_back(pending.last, key);
  }
  std::sort(by_last.begin(), by_last.end());
  for (const auto& [last, key] : by_last) to_warm_.emplace_back(key);
  return {};
}

Result<bool> KeyedTable::warm() {
  Lock lock(mutex_);
  while (!to_warm_.empty()) {
    const std::string key = std::move(to_warm_.back());
    to_warm_.pop_back();
    if (!pending_.contains(key) || loading_.contains(key)) continue;  // it was asked for
    QW_TRY(load(lock, key, true));
    return true;
  }
  to_warm_.shrink_to_fit();
  return false;
}

// A key is due between half and nine tenths of the allowed time after its first change, at a share
// of its own: keys that change in step are not all written in the same commit.
KeyedTable::Due KeyedTable::due_of(std::string_view key, Seq first, int64_t now_us) const {
  const auto share = static_cast<int64_t>(checksum64(key) % 1000);
  const int64_t wait_us =
      options_.replay_max_us / 2 + options_.replay_max_us / 10 * 4 * share / 1000;
  return {now_us + wait_us, first, key};
}

// Reading a key that nobody asked for keeps others waiting: warm() is given as long again for it.
std::optional<std::string> KeyedTable::next_due(int64_t now_us) const {
  if (!due_.empty() && due_.begin()->at_us <= now_us) return std::string(due_.begin()->key);
  if (!pending_due_.empty() &&
      pending_due_.begin()->at_us <= now_us - (now_us == kAllAreDue ? 0 : options_.replay_max_us))
    return std::string(pending_due_.begin()->key);
  return std::nullopt;
}

Result<KeyedTable::Entry*> KeyedTable::find(Lock& lock, std::string_view key, bool make) {
  const std::chrono::microseconds limit(options_.load_limit_us);
  auto found = entries_.find(key);
  for (; found == entries_.end(); found = entries_.find(key)) {
    if (!loading_.contains(key)) return load(lock, key, make);
    if (!loaded_.wait_for(lock, limit, [&] { return !loading_.contains(key); }))
      return Error{ErrorCode::kTimeout, fmt::format("the state of \"{}\" is not read in time", key),
                   options_.owner, "see whether the disk answers"};
  }
  Entry& entry = found->second;
  if (entry.recent != recent_.begin()) recent_.splice(recent_.begin(), recent_, entry.recent);
  return &entry;
}

// While the key is marked nobody else makes, changes or erases its state, in memory or on disk.
Result<KeyedTable::Entry*> KeyedTable::load(Lock& lock, std::string_view key, bool make) {
  struct Mark {
    KeyedTable& table;
    Lock& lock;
    std::set<std::string, std::less<>>::iterator at;
    ~Mark() {
      if (!lock.owns_lock()) lock.lock();
      table.loading_.erase(at);
      table.loaded_.notify_all();
    }
  } const mark{*this, lock, loading_.emplace(key).first};
  std::vector<Seq> waiting;
  const auto pending = pending_.find(key);
  if (pending != pending_.end()) waiting = pending->second.seqs();
  lock.unlock();
  auto read = this->read(key, waiting, make);
  lock.lock();
  if (!read.ok()) return std::move(read).error();
  const auto node = entries_.emplace(key, std::move(read).value()).first;
  Entry& entry = node->second;
  entry.key = node->first;
  if (!waiting.empty()) {
    // Due as its pending records were; the views into the pending node move to the entry's.
    entry.due = pending->second.due;
    entry.dirty = true;
    pending_due_.erase(entry.due);
    first_unapplied_.erase({entry.due.first, entry.due.key});
    pending_records_ -= pending->second.count;
    pending_.erase(pending);
    entry.due.key = entry.key;
    due_.insert(entry.due);
    first_unapplied_.emplace(entry.due.first, entry.key);
  }
  entry.recent = recent_.insert(recent_.begin(), &entry);
  ++loads_;
  account(entry);
  evict();
  return &entry;
}

Result<KeyedTable::Entry> KeyedTable::read(std::string_view key, const std::vector<Seq>& pending,
                                           bool make) const {
  Entry loaded;
  QW_ASSIGN(const std::optional<StateImage> image, store_.load_state(id_of(key), loaded.pages));
  if (!image.has_value() && pending.empty() && !make)
    return Error{ErrorCode::kNotFound, fmt::format("no state for key \"{}\"", key), options_.owner,
                 ""};
  if (image.has_value()) {
    QW_ASSIGN(loaded.state, kind_->decode(key, image->bytes));
    loaded.applied = image->applied;
  } else {
    loaded.state = kind_->fresh(key);
  }
  loaded.key = key;
  QW_TRY(catch_up(loaded, pending));
  return loaded;
}

Result<void> KeyedTable::catch_up(Entry& entry, const std::vector<Seq>& pending) const {
  std::vector<Seq> seqs;
  for (const Seq seq : pending)
    if (seq > entry.applied) seqs.push_back(seq);
  Result<void> replayed;  // stops at the first record that cannot be replayed
  QW_TRY(store_.read(options_.log, options_.partition, seqs, [&](Seq seq, std::string_view record) {
    replayed = kind_->replay(*entry.state, entry.key, seq, record);
    if (replayed.ok()) entry.applied = seq;
    return replayed.ok();
  }));
  return replayed;
}

void KeyedTable::changed(Entry& entry, Seq seq, int64_t now_us) {
  entry.applied = seq;
  entry.erased = false;
  if (!entry.dirty) {
    entry.dirty = true;
    entry.due = due_of(entry.key, seq, now_us);
    due_.insert(entry.due);
    first_unapplied_.emplace(seq, entry.key);
  }
  account(entry);
  evict();
}

void KeyedTable::account(Entry& entry) {
  // On top of what the state says: the nodes of a map, a list and, while it waits for its
  // checkpoint, of two sets; the hashes of the pages; what malloc adds to each of these.
  constexpr size_t kEntryBytes = sizeof(Entry) + 320;
  const size_t bytes = kEntryBytes + entry.key.size() + entry.state->memory_bytes() +
                       entry.pages.page_hashes.capacity() * sizeof(uint64_t);
  memory_.change(static_cast<int64_t>(bytes) - static_cast<int64_t>(entry.accounted_bytes));
  entry.accounted_bytes = bytes;
}

// The first entry is in use by the caller and stays. Looks at a bounded number of states that must
// stay, so that one event never pays for a long walk.
void KeyedTable::evict() {
  constexpr int kLooks = 16;
  int looks = 0;
  while (memory_.asks() && recent_.size() > 1 && looks < kLooks) {
    Entry& oldest = *recent_.back();
    if (oldest.dirty || oldest.ticket != 0) {
      recent_.splice(std::next(recent_.begin()), recent_, oldest.recent);
      ++looks;
      continue;
    }
    ++evictions_;
    memory_.evicted();
    drop(oldest);
  }
}

void KeyedTable::drop(Entry& entry) {
  memory_.change(-static_cast<int64_t>(entry.accounted_bytes));
  recent_.erase(entry.recent);
  entries_.erase(entries_.find(entry.key));
}

Result<std::vector<std::string>> KeyedTable::next_keys(size_t count) {
  std::vector<std::string> keys;
  const auto after = swept_.empty() ? std::nullopt : std::optional<std::string_view>(swept_);
  QW_TRY(store_.scan_states(
      options_.owner, options_.partition,
      [&](std::string_view key, Seq) {
        keys.emplace_back(key);
        return keys.size() < count;
      },
      after));
  swept_ = keys.size() < count ? "" : keys.back();
  return keys;
}

// Stays in memory, as a state that is new, until its end is on disk: what comes meanwhile must not
// find the old one there.
void KeyedTable::erase(Entry& entry, Txn& txn, uint64_t ticket) {
  txn.erase_state(id_of(entry.key));
  entry.state = kind_->fresh(entry.key);
  entry.pages = StatePages{};
  entry.erased = true;
  entry.ticket = ticket;
  if (in_flight_.empty() || in_flight_.back().ticket != ticket) in_flight_.push_back({ticket, {}});
  in_flight_.back().keys.emplace_back(entry.key);
  account(entry);
}

size_t KeyedTable::checkpoint(Entry& entry, Txn& txn, uint64_t ticket) {
  const size_t bytes =
      txn.checkpoint(id_of(entry.key), entry.applied, entry.state->image(scratch_), entry.pages);
  due_.erase(entry.due);
  first_unapplied_.erase({entry.due.first, entry.key});
  entry.dirty = false;
  entry.ticket = ticket;
  account(entry);
  return bytes;
}

Result<CheckpointPass> KeyedTable::checkpoint_some(Txn& txn, int64_t now_us, size_t budget_bytes) {
  Lock lock(mutex_);
  QW_ASSERT(recovered_ || pending_.empty());
  CheckpointPass pass;
  pass.ticket = ++last_ticket_;
  in_flight_.push_back({pass.ticket, {}});
  while (pass.states == 0 || pass.bytes < budget_bytes) {
    const auto key = next_due(now_us);
    if (!key) break;
    QW_ASSIGN(Entry* const entry, find(lock, *key, true));
    in_flight_.back().keys.push_back(*key);
    pass.bytes += checkpoint(*entry, txn, pass.ticket);
    ++pass.states;
  }
  if (pass.states == 0) in_flight_.pop_back();  // nobody will say that nothing is on disk
  pass.left = due_.size() + pending_due_.size();
  if (!due_.empty()) pass.behind_us = std::max<int64_t>(0, now_us - due_.begin()->at_us);
  if (!recent_.empty()) evict();  // others may have taken what is shared
  return pass;
}

void KeyedTable::committed(uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  while (!in_flight_.empty() && in_flight_.front().ticket <= ticket) {
    for (const std::string& key : in_flight_.front().keys) {
      const auto found = entries_.find(key);
      if (found == entries_.end() || found->second.ticket > ticket) continue;
      found->second.ticket = 0;
      if (found->second.erased) drop(found->second);
    }
    in_flight_.pop_front();
  }
  evict();
}

Seq KeyedTable::low_water(Seq head) const {
  const std::lock_guard lock(mutex_);
  QW_ASSERT(recovered_ || pending_.empty());
  if (first_unapplied_.empty()) return head;
  return Seq{first_unapplied_.begin()->first.value() - 1};
}

Result<void> KeyedTable::each_key(const std::function<void(std::string_view)>& take) const {
  std::set<std::string, std::less<>> here;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : entries_)
      if (entry.applied > Seq{0} && !entry.erased) here.insert(key);
    for (const auto& [key, pending] : pending_) here.insert(key);
  }
  for (const std::string& key : here) take(key);
  // A state that leaves memory after this point was on disk before it left.
  return store_.scan_states(options_.owner, options_.partition, [&](std::string_view key, Seq) {
    if (!here.contains(key)) take(key);
    return true;
  });
}

Result<std::vector<std::string>> KeyedTable::keys() const {
  std::set<std::string> all;
  QW_TRY(each_key([&](std::string_view key) { all.emplace(key); }));
  return std::vector<std::string>(all.begin(), all.end());
}

KeyedTable::Stats KeyedTable::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats;
  stats.in_memory = entries_.size();
  stats.dirty = due_.size() + pending_due_.size();
  stats.pending_keys = pending_.size();
  stats.pending_records = pending_records_;
  stats.memory_bytes = memory_.bytes();
  stats.loads = loads_;
  stats.evictions = evictions_;
  return stats;
}

}  // namespace qw::store
