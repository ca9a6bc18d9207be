// What a view says of events that it needs and does not have.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/runtime/pipeline.h"
#include "base/log.h"
#include "store/commit/meta_names.h"
#include "store/segments/history.h"
#include "streams/decoders/time.h"

namespace qw::app {
namespace {

// One of them may be of a wrong clock.
constexpr size_t kGapJudges = 9;

}  // namespace

void Pipeline::tell_loss(size_t source, const PartitionRun& run, size_t view, const char* why) {
  const PlanSource& planned = plan_->sources[source];
  const features::View& lacking = *planned.views[view].view;
  const int64_t lost_us = run.lost[view].value();
  const int64_t whole_us = lost_us + lacking.keep_us() - lacking.allowed_lateness_us();
  log::warning("views",
               "view {} of {}/{} {}: features whose windows begin before {} are incomplete, the "
               "last of them until {}",
               lacking.name(), planned.name, run.source_partition, why,
               streams::format_time(lost_us), streams::format_time(whole_us));
  journal_.append(lane_.open(), store::ViewIncompleteBody{lacking.name(), planned.name,
                                                          run.source_partition, lost_us, whole_us});
}

// A view that needs events which retention removed says so until its windows are past them. Their
// times are gone with them, but none lies above that of a later event which was not late.
Result<void> Pipeline::note_lost_events(size_t source, PartitionRun& run,
                                        const std::vector<Seq>& low) {
  const PlanSource& planned = plan_->sources[source];
  const Seq from = next(*std::min_element(low.begin(), low.end()));
  Seq first = next(run.last);
  EventTime lost = sources_[source].gate->watermark(run.id);
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
  QW_TRY(history.scan(store::Log::kEvents, run.id, from, next(run.last), first_in_time));
  QW_TRY(read);
  // Of a segment in the middle that was given up.
  QW_ASSIGN(const Seq hole, store::hole_end(store_, store::Log::kEvents, run.id));
  if (hole > from) {
    first = std::max(first, hole);
    lost = sources_[source].gate->watermark(run.id);
    QW_TRY(history.scan(store::Log::kEvents, run.id, hole, next(run.last), first_in_time));
    QW_TRY(read);
  }
  store::Txn txn;
  for (size_t index = 0; index < run.views.size(); ++index) {
    if (next(low[index]) >= first) continue;
    run.lost[index] = std::max(run.lost[index], lost);
    txn.put_meta(store::meta::lost(planned.views[index].owner, run.id),
                 std::to_string(run.lost[index].value()));
    tell_loss(source, run, index, "is built from a log that retention has trimmed");
  }
  // Before any state of the view is on disk, which a next start would take for all there is.
  return store_.commit(txn, store::Durability::kProcess);
}

// The events of a gap were taken by another member of the group, or by nobody. Their times are not
// known; none that was not late there lies further above those that follow than is allowed.
void Pipeline::note_gap(size_t source, PartitionRun& run, bool gap,
                        const std::vector<schema::EventFacts>& behind) {
  if (!gap && run.gap != kUnknownLoss) return;
  std::vector<int64_t> times;
  for (const schema::EventFacts& facts : behind)
    if (facts.counts() && times.size() < kGapJudges) times.push_back(facts.event_time.value());
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  run.gap = times.empty() ? kUnknownLoss : EventTime{*middle};
  lane_.open().txn.put_meta(store::meta::gap(run.id), std::to_string(run.gap.value()));
  const std::lock_guard lock(tables_mutex_);
  reach_gap(source, run);
}

// Whichever views there are, and were when it came: the log itself lacks the events.
void Pipeline::reach_gap(size_t source, PartitionRun& run) const {
  constexpr EventTime kNone{std::numeric_limits<int64_t>::min()};
  if (run.gap == kNone) return;
  for (size_t index = 0; index < run.lost.size(); ++index) {
    const int64_t lateness_us = plan_->sources[source].views[index].view->allowed_lateness_us();
    const EventTime lost =
        run.gap == kUnknownLoss ? kUnknownLoss : EventTime{run.gap.value() + lateness_us};
    if (run.lost[index] == kUnknownLoss || run.lost[index] < lost) run.lost[index] = lost;
  }
  run.loss_told = false;
}

// Before the first decision behind a gap: what was read again may have made it whole.
void Pipeline::tell_gap(const Moment& moment, size_t source) {
  for (size_t index = 0; index < moment.partition.views.size(); ++index) {
    const features::View& view = *moment.source.views[index].view;
    const int64_t begin_us =
        moment.facts.event_time.value() - view.keep_us() + view.allowed_lateness_us();
    if (moment.partition.lost[index].value() >= begin_us)
      tell_loss(source, moment.partition, index,
                "lacks events that were read elsewhere, or by nobody");
  }
  moment.partition.loss_told = true;
}

}  // namespace qw::app
