#include "app/runtime/system_log.h"

#include <fmt/format.h>

#include "app/runtime/log_tails.h"
#include "base/log.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

constexpr uint64_t kLateEnough = 100;  // events that are worth a share
constexpr int kLooksPerSpan = 60;

}  // namespace

bool LateShare::look(const streams::GateCounts& counts, bool last) {
  late_ = counts.late_dropped - begin_late_;
  judged_ = counts.ok + counts.late_repaired + counts.late_dropped - begin_judged_;
  share_ = judged_ == 0 ? 0 : static_cast<double>(late_) / static_cast<double>(judged_);
  const bool many = late_ * 100 > judged_;
  const bool tells = many && !told_ && (judged_ >= kLateEnough || last);
  told_ = told_ || tells;
  if (++looks_ < kLooksPerSpan) return tells;
  told_ = told_ && many;
  looks_ = 0;
  begin_late_ = counts.late_dropped;
  begin_judged_ = counts.ok + counts.late_repaired + counts.late_dropped;
  return tells;
}

double SystemLog::look(size_t source, const streams::GateCounts& counts, bool last) {
  LateShare& share = late_[source];
  if (!share.look(counts, last)) return share.share();
  const Source& file = *plan_.sources[source].file;
  const std::string title = fmt::format("{} of {} events of source '{}' came too late",
                                        share.late(), share.judged(), plan_.sources[source].name);
  const std::string detail = fmt::format(
      "they are more than {} s behind the newest and do not count in features{}; to use them, "
      "raise "
      "allowed_lateness of the source{}",
      file.allowed_lateness_us / 1'000'000,
      file.late == Late::kDecide ? "" : ", and got no decision",
      file.late == Late::kDecide ? "" : ", or write late: decide to decide on them all the same");
  log::warning("late", "{}: {}", title, detail);
  tell("late_events", title, detail);
  return share.share();
}

void SystemLog::tell(const char* phase, const std::string& title, const std::string& detail) {
  const auto held = lane_.hold();
  journal_.append(lane_.open(), store::SystemBody{phase, title, detail});
}

void SystemLog::look(const std::string& limit, uint64_t bitten, const std::string& title,
                     const std::string& detail) {
  Bite& bite = bites_[limit];
  const bool grew = bitten > bite.bitten;
  const bool tells = grew && bite.quiet_looks >= kLooksPerSpan;
  bite.bitten = bitten;
  bite.quiet_looks = grew ? 0 : bite.quiet_looks + 1;
  if (!tells) return;
  log::warning("limit", "{}: {}: {}", limit, title, detail);
  tell("limit", title, fmt::format("{} ({})", detail, limit));
}

Result<void> SystemLog::started(uint64_t to_replay, const std::vector<store::Loss>& losses) {
  QW_ASSIGN(const auto before, store_.get_meta(store::meta::kState));
  std::string detail;
  if (before && *before == "running")
    detail = fmt::format("it was killed before; {} records are replayed", to_replay);
  else if (!before)
    detail = "for the first time on this data folder";
  tell("started", fmt::format("'{}' started", plan_.file.app.text), detail);
  for (const store::Loss& loss : losses)
    tell("loss_accepted", "Damage was accepted: " + loss.where, loss.what);
  const auto held = lane_.hold();
  lane_.open().txn.put_meta(store::meta::kState, "running");
  remember_app_file(plan_, lane_.open().txn);
  started_ = true;
  return {};
}

void SystemLog::stopped(const std::string& why) {
  if (!started_) return;
  tell("stopped", fmt::format("'{}' stopped", plan_.file.app.text), why);
  const auto held = lane_.hold();
  lane_.open().txn.put_meta(store::meta::kState, "stopped");
}

void SystemLog::look(size_t source, const streams::SourceStatus& status) {
  const std::string& name = plan_.sources[source].name;
  const bool fails = status.state == streams::SourceState::kWaiting && status.trouble;
  if (fails && failed_.insert(source).second)
    tell("source_failed", fmt::format("Source '{}' fails", name), status.trouble->to_string());
  if (const uint64_t gaps = status.missed + status.places_lost; gaps > gaps_[source]) {
    gaps_[source] = gaps;
    tell("source_gap", fmt::format("Source '{}' could not go on where it was", name),
         status.last_gap);
  }
  const bool begins_or_ends = status.state == streams::SourceState::kStarting ||
                              status.state == streams::SourceState::kClosed;
  if (!fails && !begins_or_ends && failed_.erase(source) > 0)
    tell("source_recovered", fmt::format("Source '{}' works again", name), "");
}

void SystemLog::look(const store::Committer::Status& status) {
  const bool full =
      status.state == store::CommitState::kDiskFull || status.state == store::CommitState::kFailing;
  if (full == disk_full_) return;
  disk_full_ = full;
  if (full)
    tell("disk_full", "The disk takes no records: intake pauses", status.message);
  else
    tell("disk_ok", "The disk takes records again", "");
}

}  // namespace qw::app
