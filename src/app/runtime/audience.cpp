#include "app/runtime/audience.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/bytes.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

constexpr uint8_t kRecordKind = 0x48;
constexpr uint8_t kRecordVersion = 1;

// By name, since an application file that changes gives other indexes.
template <class Items>
void write_names(ByteWriter& writer, const Items& items, const std::vector<bool>& chosen) {
  writer.varint(static_cast<uint64_t>(std::ranges::count(chosen, true)));
  for (size_t index = 0; index < items.size(); ++index)
    if (chosen[index]) writer.text(items[index].name);
}

std::set<std::string, std::less<>> read_names(ByteReader& reader) {
  std::set<std::string, std::less<>> names;
  for (uint64_t left = reader.varint(); reader.ok() && left > 0; --left)
    names.emplace(reader.text());
  return names;
}

Error damaged() { return {ErrorCode::kCorrupt, "the audience of an alert is damaged", "", ""}; }

}  // namespace

AlertAudience::AlertAudience(const Plan& plan) : plan_(plan) {
  for (const PlanDecision& decision : plan.decisions) {
    const auto bound = [](const auto& one) { return one.when.has_value(); };
    conditional_.push_back(std::ranges::any_of(decision.sinks, bound) ||
                           std::ranges::any_of(decision.heals, bound));
  }
}

AlertWishes AlertAudience::everybody(size_t decision) const {
  const PlanDecision& planned = plan_.decisions[decision];
  return {std::vector<bool>(planned.sinks.size(), true),
          std::vector<bool>(planned.heals.size(), true)};
}

std::string AlertAudience::meta_name(const Key& key) const {
  return store::meta::audience(plan_.decisions[key.decision].name, key.stream, key.key);
}

Result<void> AlertAudience::open(const store::Store& store) {
  for (size_t decision = 0; decision < plan_.decisions.size(); ++decision) {
    if (!conditional_[decision]) continue;
    const std::string prefix = store::meta::audiences_of(plan_.decisions[decision].name);
    Result<void> read;
    QW_TRY(store.scan_meta(prefix, [&](std::string_view name, std::string_view bytes) {
      const auto series = store::meta::parse_series(prefix, name);
      auto entry = restored(decision, bytes);
      if (!series || !entry.ok()) {
        read = series ? entry.error() : damaged();
        return false;
      }
      entries_[{decision, series->stream, std::string(series->key)}] = std::move(entry).value();
      return true;
    }));
    QW_TRY(read);
  }
  return {};
}

Result<AlertAudience::Entry> AlertAudience::restored(size_t decision,
                                                     std::string_view bytes) const {
  QW_ASSIGN(const SealedRecord record, open_record(bytes));
  if (record.kind != kRecordKind)
    return Error{ErrorCode::kCorrupt, "a stored record is no audience of an alert", "", ""};
  if (record.version != kRecordVersion)
    return Error{ErrorCode::kUnsupported,
                 "the audience of an alert was written by a newer Quickwater", "",
                 "start the newer version, or use a fresh data folder"};
  ByteReader reader(record.body);
  const auto told = read_names(reader);
  const auto sinks = read_names(reader);
  const auto heals = read_names(reader);
  if (!reader.done()) return damaged();
  Entry entry{everybody(decision), {}};
  const PlanDecision& planned = plan_.decisions[decision];
  for (size_t index = 0; index < planned.sinks.size(); ++index) {
    const PlanSink& sink = planned.sinks[index];
    entry.newest.sinks[index] = !sink.when || sinks.contains(sink.name);
    entry.told.push_back(told.contains(sink.name));
  }
  for (size_t index = 0; index < planned.heals.size(); ++index)
    entry.newest.heals[index] =
        !planned.heals[index].when || heals.contains(planned.heals[index].name);
  return entry;
}

void AlertAudience::keep(store::PendingCommit& open, const Key& key, const Entry& entry) const {
  const PlanDecision& planned = plan_.decisions[key.decision];
  std::string body;
  ByteWriter writer(body);
  write_names(writer, planned.sinks, entry.told);
  write_names(writer, planned.sinks, entry.newest.sinks);
  write_names(writer, planned.heals, entry.newest.heals);
  std::string sealed;
  seal_record(kRecordKind, kRecordVersion, body, sealed);
  open.txn.put_meta(meta_name(key), sealed);
}

void AlertAudience::forget(store::PendingCommit& open, const Key& key) {
  if (entries_.erase(key) > 0) open.txn.erase_meta(meta_name(key));
}

void AlertAudience::judged(store::PendingCommit& open, const Key& key, bool quiet,
                           const AlertWishes& wishes) {
  if (!conditional_[key.decision]) return;
  if (quiet) {
    if (!entries_.empty()) forget(open, key);
    return;
  }
  const auto [at, added] = entries_.try_emplace(key);
  Entry& entry = at->second;
  if (added) entry.told.assign(wishes.sinks.size(), false);
  if (!added && entry.newest == wishes) return;
  entry.newest = wishes;
  keep(open, key, entry);
}

AlertWishes AlertAudience::hear(store::PendingCommit& open, size_t decision,
                                const monitor::AlertChange& change) {
  const Key key{decision, change.partition, change.key};
  const auto found = entries_.find(key);
  // Without conditions; or from before any was kept, when everybody was told.
  if (!conditional_[decision] || found == entries_.end()) return everybody(decision);
  Entry& entry = found->second;
  const auto kind = change.transition.kind;
  const bool rises =
      kind == monitor::TransitionKind::kFired || kind == monitor::TransitionKind::kEscalated;
  AlertWishes hearers = entry.newest;
  for (size_t index = 0; index < hearers.sinks.size(); ++index) {
    if (rises && entry.newest.sinks[index]) entry.told[index] = true;
    hearers.sinks[index] = entry.told[index];
  }
  if (kind == monitor::TransitionKind::kResolved)
    forget(open, key);
  else
    keep(open, key, entry);
  return hearers;
}

}  // namespace qw::app
