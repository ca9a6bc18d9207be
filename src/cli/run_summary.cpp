#include "cli/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/exit_codes.h"
#include "schema/records.h"
#include "store/commit/journal.h"
#include "store/segments/history.h"

namespace qw::cli {
namespace {

constexpr size_t kReasonsShown = 5;
constexpr size_t kReasonsHeld = 1000;
constexpr size_t kRawShown = 120;

// What was found differs from record to record; what it was found in does not.
std::string kind_of(std::string_view reason) {
  std::string kind;
  bool inside = false;
  for (const char c : reason) {
    if (c == '\'' || c == '"') {
      if (!inside) kind += "...";
      inside = !inside;
    } else if (!inside) {
      kind += c;
    }
  }
  return kind;
}

struct Reason {
  uint64_t count = 0;
  schema::DeadLetter first;
};

streams::GateCounts sum(const app::Runtime& runtime, app::Pipeline& pipeline) {
  streams::GateCounts all;
  for (size_t source = 0; source < runtime.plan().sources.size(); ++source) {
    const streams::GateCounts& one = pipeline.gate(source).counts();
    all.ok += one.ok;
    all.late_repaired += one.late_repaired;
    all.late_dropped += one.late_dropped;
    all.late_buried += one.late_buried;
    all.duplicate += one.duplicate;
    all.quarantined += one.quarantined;
    all.future += one.future;
    all.absurd_time += one.absurd_time;
    all.dropped += one.dropped;
    all.rejected += one.rejected;
  }
  return all;
}

}  // namespace

RunSummary::RunSummary(app::Runtime& runtime, const Clock& clock)
    : runtime_(runtime), clock_(clock), began_ns_(clock.monotonic_ns()) {}

int RunSummary::tell(MetricRegistry& metrics) const {
  const streams::GateCounts counts = sum(runtime_, runtime_.pipeline());
  const uint64_t dead = counts.rejected + counts.quarantined + counts.future + counts.absurd_time +
                        counts.late_buried;
  const uint64_t used = counts.ok + counts.late_repaired + counts.duplicate + counts.dropped;
  const uint64_t read = used + dead + counts.late_dropped - counts.late_buried;
  const uint64_t decided = metrics.counter("quickwater_decisions_total", "Decisions made.").value();
  const double seconds =
      std::max(1e-3, static_cast<double>(clock_.monotonic_ns() - began_ns_) * 1e-9);
  log::info("run",
            "{} records read in {:.1f} s ({:.0f} a second): {} decisions, {} late ({} of them too "
            "late to count), {} duplicates, {} dropped by expectations, {} dead letters",
            read, seconds, static_cast<double>(read) / seconds, decided,
            counts.late_repaired + counts.late_dropped, counts.late_dropped, counts.duplicate,
            counts.dropped, dead);
  if (dead > 0) tell_dead_letters(dead);
  if (read > 0 && used == 0 && decided == 0) {
    log::error("run", "of {} records none could be used", read);
    return kFailed;
  }
  return dead > 0 ? kPartial : kOk;
}

// The last of the log, as many as this run buried.
void RunSummary::tell_dead_letters(uint64_t count) const {
  const auto last = runtime_.store().last_seq(store::Log::kDeadLetters, store::kJournalPartition);
  const uint64_t end = last.ok() ? last->value() : 0;
  const Seq before{end - std::min(end, count)};
  std::map<std::pair<std::string, std::string>, Reason> reasons;  // by source and kind
  const auto read =
      store::History(runtime_.store())
          .scan(store::Log::kDeadLetters, store::kJournalPartition, next(before),
                Seq{std::numeric_limits<uint64_t>::max()}, [&](Seq, std::string_view bytes) {
                  auto letter = schema::decode_dead_letter(bytes);
                  if (!letter.ok()) return true;
                  Reason& reason = reasons[{letter->source, kind_of(letter->reason)}];
                  if (reason.count++ == 0) reason.first = std::move(*letter);
                  return reasons.size() < kReasonsHeld;
                });
  if (!read.ok()) log::warning("run", "the dead letters cannot be read: {}", read.error().message);
  std::vector<const Reason*> most;
  for (const auto& [kind, reason] : reasons) most.push_back(&reason);
  std::stable_sort(most.begin(), most.end(),
                   [](const Reason* a, const Reason* b) { return a->count > b->count; });
  for (size_t at = 0; at < std::min(most.size(), kReasonsShown); ++at) {
    const schema::DeadLetter& first = most[at]->first;
    log::warning("run", "{} dead letters of '{}' like the first, {}: {}: {}", most[at]->count,
                 first.source, first.position, first.reason, first.raw.substr(0, kRawShown));
  }
  log::warning("run", "{}`quickwater log dead-letters {}` prints them all",
               most.size() > kReasonsShown
                   ? fmt::format("and {} further reasons; ", most.size() - kReasonsShown)
                   : "",
               runtime_.plan().file.path);
}

}  // namespace qw::cli
