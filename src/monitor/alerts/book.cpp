#include "monitor/alerts/book.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace qw::monitor {
namespace {

constexpr uint8_t kRecordKind = 0x41;
constexpr uint8_t kRecordVersion = 2;
constexpr int64_t kPauseMostUs = 86'400'000'000;  // a wrong event time must not keep an alert open
constexpr int64_t kPausesUntilStale = 3;

uint64_t alert_number(const AlertScope& scope, PartitionId partition, std::string_view key,
                      uint64_t alert_seq) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.text(scope.app);
  writer.text(scope.decision);
  writer.text(scope.source);
  writer.u32(partition.value());
  writer.text(key);
  writer.u64(alert_seq);
  return checksum64(bytes);
}

std::string id_text(uint64_t number) { return fmt::format("a-{:016x}", number); }

}  // namespace

std::string alert_id(const AlertScope& scope, PartitionId partition, std::string_view key,
                     uint64_t alert_seq) {
  return id_text(alert_number(scope, partition, key, alert_seq));
}

AlertBook::AlertBook(Options options) : options_(std::move(options)) {
  QW_ASSERT(check(options_.policy).ok());
}

void AlertBook::index(Entries::iterator at) {
  if (at->second.state.needs_ticks())
    active_.insert_or_assign(at->first, at);
  else
    active_.erase(at->first);
}

void AlertBook::observe(PartitionId partition, std::string_view key, std::string_view group,
                        const Observation& observation, std::vector<AlertChange>& changes) {
  const int64_t event_us = observation.event_time.value();
  passed_us_ = std::max(passed_us_, std::min(last_event_us_, event_us));
  last_event_us_ = event_us;
  auto at = entries_.find(std::pair(partition, key));
  if (at == entries_.end()) {
    if (observation.severity == Severity::kNone) return;
    if (entries_.size() >= options_.max_keys) {
      ++refused_;
      return;
    }
    at = entries_.emplace(Key(partition, key), Entry{}).first;
  }
  Entry& entry = at->second;
  if (entry.state.phase != AlertPhase::kFiring)
    entry.group = group.empty() ? 0 : std::max<uint64_t>(checksum64(group), 1);
  const bool ticked = entry.state.needs_ticks();
  if (const int64_t last_us = entry.state.last_event_us; last_us != kNever && event_us > last_us)
    entry.pause_us =
        std::max(entry.pause_us - entry.pause_us / 8, std::min(event_us - last_us, kPauseMostUs));
  const auto transition = step(policy_of(entry), entry.state, observation);
  if (transition) apply(at, *transition, changes);
  if (ticked != entry.state.needs_ticks()) index(at);
}

void AlertBook::tick(uint64_t number, int64_t quiet_us, const NewestSeq& after,
                     std::vector<AlertChange>& changes) {
  for (auto next = active_.begin(); next != active_.end();) {
    const Entries::iterator entry = (next++)->second;  // index() may erase it
    const Tick input{number, quiet_us, after(entry->first.first)};
    const auto transition = step(policy_of(entry->second), entry->second.state, input);
    if (transition) apply(entry, *transition, changes);
    if (!entry->second.state.needs_ticks()) index(entry);
  }
}

void AlertBook::clock_set(int8_t direction) {
  for (auto& [key, entry] : entries_) note_clock_set(entry.state, direction);
}

std::vector<std::pair<PartitionId, std::string>> AlertBook::active() const {
  std::vector<std::pair<PartitionId, std::string>> keys;
  for (const auto& [key, entry] : active_) keys.push_back(key);
  return keys;
}

AlertPolicy AlertBook::policy_of(const Entry& entry) const {
  AlertPolicy policy = options_.policy;
  if (policy.learns_stale_after)
    policy.stale_after_us =
        std::max(policy.stale_after_us,
                 entry.pause_us == 0 ? kUnknownPauseUs : kPausesUntilStale * entry.pause_us);
  return policy;
}

void AlertBook::forget_ended(const Forgotten& forgotten) {
  if (passed_us_ == kNever) return;
  auto at = entries_.lower_bound(next_look_);
  for (size_t looks = std::min(kForgetLooks, entries_.size()); looks > 0; --looks) {
    if (at == entries_.end()) at = entries_.begin();
    const AlertState& state = at->second.state;
    const int64_t fired_us = state.fired_us.front();
    const bool over = state.phase == AlertPhase::kIdle && state.last_word == Severity::kNone &&
                      state.cooldown_until_us < passed_us_ && state.last_event_us < passed_us_ &&
                      (fired_us == kNever || options_.policy.flap_fires == 0 ||
                       fired_us < passed_us_ - options_.policy.flap_window_us);
    if (over) forgotten(at->first.first, at->first.second);
    at = over ? entries_.erase(at) : std::next(at);
  }
  next_look_ = at == entries_.end() ? Key() : at->first;
}

Severity AlertBook::Group::loudest() const {
  for (size_t level = open.size() - 1; level > 0; --level)
    if (open[level] > 0) return static_cast<Severity>(level);
  return Severity::kNone;
}

bool AlertBook::join_or_lead(Entry& entry, uint64_t id, Severity severity) {
  entry.lead = id;
  if (entry.group == 0) return true;
  Group& group = groups_[entry.group];
  if (group.empty()) group.lead = id;
  entry.lead = group.lead;
  const bool louder = severity > group.loudest();
  ++group.open[static_cast<size_t>(severity)];
  return louder;
}

bool AlertBook::escalate(const Entry& entry, const Transition& transition) {
  if (entry.group == 0) return true;
  Group& group = groups_[entry.group];
  const bool louder = transition.severity > group.loudest();
  --group.open[static_cast<size_t>(transition.previous)];
  ++group.open[static_cast<size_t>(transition.severity)];
  return louder;
}

bool AlertBook::leave(const Entry& entry) {
  if (entry.group == 0) return true;
  const auto group = groups_.find(entry.group);
  QW_ASSERT(group != groups_.end());
  --group->second.open[static_cast<size_t>(entry.state.severity)];
  if (!group->second.empty()) return false;
  groups_.erase(group);
  return true;
}

PartitionId AlertBook::named(PartitionId partition) const {
  const auto name = names_.find(partition);
  return name == names_.end() ? partition : PartitionId{name->second};
}

void AlertBook::apply(Entries::iterator at, const Transition& transition,
                      std::vector<AlertChange>& changes) {
  Entry& entry = at->second;
  const auto& [partition, key] = at->first;
  const uint64_t id = alert_number(options_.scope, named(partition), key, transition.alert_seq);
  AlertChange change;
  change.transition = transition;
  change.partition = partition;
  change.key = key;
  switch (transition.kind) {
    case TransitionKind::kFired:
      ++open_;
      change.notify = join_or_lead(entry, id, transition.severity);
      break;
    case TransitionKind::kEscalated: change.notify = escalate(entry, transition); break;
    case TransitionKind::kResolved:
      --open_;
      change.notify = leave(entry);
      break;
    case TransitionKind::kStale: change.notify = entry.lead == id; break;
  }
  change.alert_id = id_text(id);
  change.lead_id = id_text(entry.lead);
  change.began_us = entry.state.began_us;
  change.opened_us = entry.state.opened_us;
  change.score_max = entry.state.score_max;
  change.flapping = entry.state.flapping;
  changes.push_back(std::move(change));
}

bool AlertBook::save(PartitionId partition, std::string_view key, std::string& out) const {
  const auto at = entries_.find(std::pair(partition, key));
  if (at == entries_.end()) return false;
  std::string body;
  ByteWriter writer(body);
  writer.u64(at->second.group);
  writer.u64(at->second.lead);
  writer.i64(at->second.pause_us);
  encode_alert_state(at->second.state, body);
  seal_record(kRecordKind, kRecordVersion, body, out);
  return true;
}

Result<void> AlertBook::restore(PartitionId partition, std::string_view key,
                                std::string_view bytes) {
  QW_ASSIGN(const SealedRecord record, open_record(bytes));
  if (record.kind != kRecordKind)
    return Error{ErrorCode::kCorrupt, "a stored record is no alert state", std::string(key), ""};
  if (record.version > kRecordVersion)
    return Error{ErrorCode::kUnsupported, "an alert state was written by a newer Quickwater",
                 std::string(key), "start the newer version, or use a fresh data folder"};
  ByteReader reader(record.body);
  Entry entry;
  entry.group = reader.u64();
  entry.lead = reader.u64();
  if (record.version > 1) entry.pause_us = reader.i64();
  QW_ASSIGN(entry.state, decode_alert_state(reader.rest()));
  const auto [at, added] = entries_.emplace(Key(partition, key), entry);
  if (!added) return Error{ErrorCode::kConflict, "the key is already there", std::string(key), ""};
  if (entry.state.phase == AlertPhase::kFiring) {
    ++open_;
    if (entry.group != 0) {
      Group& group = groups_[entry.group];
      group.lead = entry.lead;
      ++group.open[static_cast<size_t>(entry.state.severity)];
    }
  }
  index(at);
  return {};
}

const AlertState* AlertBook::find(PartitionId partition, std::string_view key) const {
  const auto at = entries_.find(std::pair(partition, key));
  return at == entries_.end() ? nullptr : &at->second.state;
}

}  // namespace qw::monitor
