// What a view says of events that it needs and does not have.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "base/time_text.h"
#include "features/online/feature_store.h"
#include "store/commit/meta_names.h"
#include "store/segments/history.h"

namespace qw::features {
namespace {

// One of them may be of a wrong clock.
constexpr size_t kGapJudges = 9;

}  // namespace

void FeatureStore::tell_loss(const FeaturePartition& partition, size_t view, const char* why) {
  const SourceFeatures& source = features_of(partition);
  const View& lacking = *source.views[view].view;
  const int64_t lost_us = partition.lost[view].value();
  const int64_t whole_us = lost_us + lacking.keep_us() - lacking.allowed_lateness_us();
  log::warning("views",
               "view {} of {}/{} {}: features whose windows begin before {} are incomplete, the "
               "last of them until {}",
               lacking.name(), source.name, partition.number, why, format_time(lost_us),
               format_time(whole_us));
  journal_.append(lane_.open(), store::ViewIncompleteBody{lacking.name(), source.name,
                                                          partition.number, lost_us, whole_us});
}

// A view that needs events which retention removed says so until its windows are past them. Their
// times are gone with them, but none lies above that of a later event which was not late.
Result<void> FeatureStore::note_lost_events(FeaturePartition& partition,
                                            const std::vector<Seq>& low, Seq last,
                                            EventTime watermark) {
  const Seq from = next(*std::min_element(low.begin(), low.end()));
  Seq first = next(last);
  EventTime lost = watermark;
  Result<void> read;
  store::History history(store_);
  const auto first_in_time = [&](Seq seq, std::string_view record) {
    first = std::min(first, seq);
    const auto event = schema::decode_event(record);
    if (!event.ok()) read = event.error();
    if (!event.ok() || event->facts.status != schema::EventStatus::kOk) return event.ok();
    lost = std::min(lost, event->facts.event_time);
    return false;
  };
  QW_TRY(history.scan(store::Log::kEvents, partition.id, from, next(last), first_in_time));
  QW_TRY(read);
  // Of a segment in the middle that was given up.
  QW_ASSIGN(const Seq hole, store::hole_end(store_, store::Log::kEvents, partition.id));
  if (hole > from) {
    first = std::max(first, hole);
    lost = watermark;
    QW_TRY(history.scan(store::Log::kEvents, partition.id, hole, next(last), first_in_time));
    QW_TRY(read);
  }
  store::Txn txn;
  for (size_t index = 0; index < partition.views.size(); ++index) {
    if (next(low[index]) >= first) continue;
    partition.lost[index] = std::max(partition.lost[index], lost);
    txn.put_meta(store::meta::lost(partition.views[index]->owner(), partition.id),
                 std::to_string(partition.lost[index].value()));
    tell_loss(partition, index, "is built from a log that retention has trimmed");
  }
  // Before any state of the view is on disk, which a next start would take for all there is.
  return store_.commit(txn, store::Durability::kProcess);
}

// The events of a gap were taken by another member of the group, or by nobody. Their times are not
// known; none that was not late there lies further above those that follow than is allowed.
void FeatureStore::note_gap(FeaturePartition& partition, bool gap,
                            const std::vector<schema::EventFacts>& behind) {
  if (!gap && partition.gap != FeaturePartition::kUnknown) return;
  std::vector<int64_t> times;
  for (const schema::EventFacts& facts : behind)
    if (facts.counts() && times.size() < kGapJudges) times.push_back(facts.event_time.value());
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  partition.gap = times.empty() ? FeaturePartition::kUnknown : EventTime{*middle};
  lane_.open().txn.put_meta(store::meta::gap(partition.id), std::to_string(partition.gap.value()));
  const std::lock_guard lock(mutex_);
  reach_gap(partition);
}

// Whichever views there are, and were when it came: the log itself lacks the events.
void FeatureStore::reach_gap(FeaturePartition& partition) const {
  constexpr EventTime kUnknown = FeaturePartition::kUnknown;
  if (partition.gap == FeaturePartition::kNone) return;
  for (size_t index = 0; index < partition.lost.size(); ++index) {
    const int64_t lateness_us = features_of(partition).views[index].view->allowed_lateness_us();
    const EventTime lost =
        partition.gap == kUnknown ? kUnknown : EventTime{partition.gap.value() + lateness_us};
    EventTime& known = partition.lost[index];
    if (known == kUnknown || known < lost) known = lost;
  }
  partition.loss_told = false;
}

void FeatureStore::tell_gap(FeaturePartition& partition, EventTime now) {
  for (size_t index = 0; index < partition.views.size(); ++index) {
    const View& view = *features_of(partition).views[index].view;
    const int64_t begin_us = now.value() - view.keep_us() + view.allowed_lateness_us();
    if (partition.lost[index].value() >= begin_us)
      tell_loss(partition, index, "lacks events that were read elsewhere, or by nobody");
  }
  partition.loss_told = true;
}

}  // namespace qw::features
