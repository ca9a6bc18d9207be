#include "monitor/actions/healing.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace qw::monitor {
namespace {

constexpr int64_t kMaxClockStepUs = 5'000'000;
constexpr size_t kMaxOpen = 1024;
constexpr uint8_t kRecordKind = 0x42;
constexpr uint8_t kRecordVersion = 1;

Error bad_setting(std::string message, std::string how_to_mend) {
  return Error{ErrorCode::kBadInput, std::move(message), "healing", std::move(how_to_mend)};
}

}  // namespace

Result<void> check(const HealPolicy& policy) {
  if (policy.limit_count == 0 || policy.limit_count > 1000)
    return bad_setting("limit allows no action, or more than 1000", "write it as '3/10m'");
  if (policy.limit_per_us <= 0) return bad_setting("limit has no span", "write it as '3/10m'");
  if (policy.recover_within_us <= 0)
    return bad_setting("recover_within is not positive", "write it as '60s'");
  return {};
}

std::string_view name_of(HealStepKind kind) {
  switch (kind) {
    case HealStepKind::kStart: return store::HealStepBody::kStarted;
    case HealStepKind::kDryRun: return store::HealStepBody::kDryRun;
    case HealStepKind::kSkip: return store::HealStepBody::kSkipped;
    case HealStepKind::kOutcome: return store::HealStepBody::kOutcome;
    case HealStepKind::kUnknown: return store::HealStepBody::kUnknown;
    case HealStepKind::kReset: return store::HealStepBody::kReset;
  }
  return store::HealStepBody::kStarted;
}

std::string_view name_of(HealOutcome outcome) {
  switch (outcome) {
    case HealOutcome::kRecovered: return "recovered";
    case HealOutcome::kNotRecovered: return "not_recovered";
    case HealOutcome::kNoData: return "no_data";
  }
  return "recovered";
}

store::HealStepBody journal_body(const HealStep& step) {
  store::HealStepBody body;
  body.kind = name_of(step.kind);
  body.heal = step.heal;
  body.action_id = step.action_id;
  body.alert_id = step.alert_id;
  body.attempt = step.attempt;
  body.at_us = step.at_us;
  if (step.kind == HealStepKind::kOutcome) {
    body.outcome = name_of(step.outcome);
    body.took_s = static_cast<double>(step.took_us) * 1e-6;
  }
  body.message = step.note;
  return body;
}

std::string heal_action_id(std::string_view heal, std::string_view alert_id, uint32_t attempt) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.text(heal);
  writer.text(alert_id);
  writer.u32(attempt);
  return fmt::format("act-{:016x}", checksum64(bytes));
}

Healer::Healer(std::string name, HealPolicy policy) : name_(std::move(name)), policy_(policy) {
  QW_ASSERT(check(policy_).ok());
}

void Healer::advance(int64_t at_us) {
  if (clock_us_ != kNever && at_us > clock_us_) {
    int64_t moved_us = 0;
    if (__builtin_sub_overflow(at_us, clock_us_, &moved_us)) moved_us = kMaxClockStepUs;
    now_ += std::min(moved_us, kMaxClockStepUs);
  }
  clock_us_ = at_us;
}

HealStep Healer::step(HealStepKind kind, const Attempt& open, int64_t at_us) const {
  HealStep made;
  made.kind = kind;
  made.heal = name_;
  made.alert_id = open.alert_id;
  made.attempt = open.number;
  made.action_id = heal_action_id(name_, open.alert_id, open.number);
  made.at_us = at_us;
  return made;
}

// Why nothing may start now; empty when it may.
std::string Healer::refusal() const {
  if (stopped())
    return fmt::format(
        "stopped after {} actions without recovery; `quickwater heal reset` lets it go on",
        failures_);
  const auto used = std::count_if(recent_.begin(), recent_.end(), [&](int64_t started) {
    return now_ - started < policy_.limit_per_us;
  });
  if (used >= policy_.limit_count)
    return fmt::format("limit of {} in {} s is reached", policy_.limit_count,
                       policy_.limit_per_us / 1'000'000);
  return {};
}

void Healer::attempt(Attempt& open, int64_t at_us, std::vector<HealStep>& steps) {
  ++open.number;
  open.judged = true;  // until it really starts there is nothing to judge
  HealStep made = step(HealStepKind::kStart, open, at_us);
  made.note = refusal();
  if (!made.note.empty()) {
    made.kind = HealStepKind::kSkip;
    steps.push_back(std::move(made));
    return;
  }
  recent_.push_back(now_);
  if (recent_.size() > policy_.limit_count) recent_.erase(recent_.begin());
  if (!policy_.enabled || policy_.dry_run) {
    made.kind = HealStepKind::kDryRun;
    made.note = policy_.enabled ? "dry run" : "healing is off in the application";
    steps.push_back(std::move(made));
    return;
  }
  open.started = now_;
  open.finished = false;
  open.judged = false;
  open.queued = !policy_.reruns_after_crash;
  steps.push_back(std::move(made));
}

void Healer::on_alert(const AlertChange& change, bool wanted, int64_t at_us,
                      std::vector<HealStep>& steps) {
  advance(at_us);
  const auto at = std::find_if(open_.begin(), open_.end(), [&](const Attempt& open) {
    return open.alert_id == change.alert_id;
  });
  const TransitionKind kind = change.transition.kind;
  if (kind == TransitionKind::kResolved) {
    if (at == open_.end()) return;
    if (!at->judged) {
      HealStep made = step(HealStepKind::kOutcome, *at, at_us);
      const bool cleared = change.transition.reason == ResolveReason::kCleared;
      made.outcome = cleared ? HealOutcome::kRecovered : HealOutcome::kNoData;
      made.took_us = now_ - at->started;
      if (cleared) failures_ = 0;
      steps.push_back(std::move(made));
    }
    open_.erase(at);
    return;
  }
  if (!wanted || kind == TransitionKind::kStale) return;
  if (at != open_.end()) {
    if (kind == TransitionKind::kEscalated && at->judged) attempt(*at, at_us, steps);
    return;
  }
  // The others of a group are healed through the one that speaks for it.
  if (!change.notify || open_.size() >= kMaxOpen) return;
  Attempt& open = open_.emplace_back();
  open.alert_id = change.alert_id;
  attempt(open, at_us, steps);
}

void Healer::on_tick(int64_t at_us, std::vector<HealStep>& steps) {
  advance(at_us);
  for (Attempt& open : open_) {
    if (open.judged || open.queued || now_ - open.started < policy_.recover_within_us) continue;
    HealStep made = step(HealStepKind::kOutcome, open, at_us);
    made.outcome = HealOutcome::kNotRecovered;
    made.took_us = now_ - open.started;
    steps.push_back(std::move(made));
    ++failures_;
    attempt(open, at_us, steps);
  }
}

Healer::Attempt* Healer::find(std::string_view action_id) {
  for (Attempt& open : open_)
    if (heal_action_id(name_, open.alert_id, open.number) == action_id) return &open;
  return nullptr;
}

void Healer::on_finished(std::string_view action_id) {
  if (Attempt* const open = find(action_id)) {
    open->finished = true;
    open->queued = false;
  }
}

void Healer::on_begun(std::string_view action_id) {
  if (Attempt* const open = find(action_id)) {
    open->started = now_;
    open->queued = false;
  }
}

bool Healer::waits_for(std::string_view action_id) const {
  return std::ranges::any_of(open_, [&](const Attempt& open) {
    return !open.judged && heal_action_id(name_, open.alert_id, open.number) == action_id;
  });
}

void Healer::never_began(const std::string& alert_id, uint32_t number, const std::string& reason,
                         int64_t at_us, std::vector<HealStep>& steps) {
  HealStep made = step(HealStepKind::kSkip, {alert_id, number}, at_us);
  made.note = "never began: " + reason;
  if (Attempt* const open = find(made.action_id)) {
    open->judged = true;
    open->queued = false;
  }
  steps.push_back(std::move(made));
}

// Recovery is still judged: the condition decides, not the exit code.
void Healer::is_unknown(const std::string& alert_id, uint32_t number, int64_t at_us,
                        std::vector<HealStep>& steps) {
  HealStep made = step(HealStepKind::kUnknown, {alert_id, number}, at_us);
  made.note = "was running when the process ended; it is not run again";
  on_finished(made.action_id);
  steps.push_back(std::move(made));
}

bool Healer::time_matters() const {
  const bool judging = std::ranges::any_of(open_, [](const Attempt& open) { return !open.judged; });
  return judging || (!recent_.empty() && now_ - recent_.back() < policy_.limit_per_us);
}

void Healer::after_restart(int64_t at_us, const std::set<std::string>& queued,
                           std::vector<HealStep>& steps) {
  advance(at_us);
  if (policy_.reruns_after_crash) return;
  std::vector<Attempt> begun;
  for (Attempt& open : open_) {
    if (open.judged || open.finished) continue;
    open.queued = queued.contains(heal_action_id(name_, open.alert_id, open.number));
    if (!open.queued) begun.push_back(open);
  }
  for (const Attempt& open : begun) is_unknown(open.alert_id, open.number, at_us, steps);
}

void Healer::reset(int64_t at_us, std::vector<HealStep>& steps) {
  advance(at_us);
  failures_ = 0;
  HealStep made = step(HealStepKind::kReset, Attempt{}, at_us);
  made.action_id.clear();
  steps.push_back(std::move(made));
}

void Healer::save(std::string& out) const {
  std::string body;
  ByteWriter writer(body);
  writer.i64(clock_us_);
  writer.i64(now_);
  writer.u32(failures_);
  writer.varint(recent_.size());
  for (const int64_t started : recent_) writer.i64(started);
  writer.varint(open_.size());
  for (const Attempt& open : open_) {
    writer.text(open.alert_id);
    writer.u32(open.number);
    writer.i64(open.started);
    writer.u8(static_cast<uint8_t>((open.finished ? 1 : 0) | (open.judged ? 2 : 0)));
  }
  seal_record(kRecordKind, kRecordVersion, body, out);
}

Result<void> Healer::restore(std::string_view bytes) {
  QW_ASSIGN(const SealedRecord record, open_record(bytes));
  if (record.kind != kRecordKind)
    return Error{ErrorCode::kCorrupt, "a stored record is no healing state", name_, ""};
  if (record.version != kRecordVersion)
    return Error{ErrorCode::kUnsupported, "healing state was written by a newer Quickwater", name_,
                 "start the newer version, or use a fresh data folder"};
  ByteReader reader(record.body);
  Healer read(name_, policy_);
  read.clock_us_ = reader.i64();
  read.now_ = reader.i64();
  read.failures_ = reader.u32();
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left)
    read.recent_.push_back(reader.i64());
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
    Attempt& open = read.open_.emplace_back();
    open.alert_id = reader.text();
    open.number = reader.u32();
    open.started = reader.i64();
    const uint8_t flags = reader.u8();
    open.finished = (flags & 1) != 0;
    open.judged = (flags & 2) != 0;
  }
  if (!reader.done())
    return Error{ErrorCode::kCorrupt, "a stored healing state has a wrong length", name_, ""};
  *this = std::move(read);
  return {};
}

}  // namespace qw::monitor
