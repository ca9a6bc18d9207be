// When an alert starts a healing action, how often, and whether it helped. Pure: alert changes and
// recorded ticks in, steps out; it runs nothing and reads no clock.
//
// An open alert gets an attempt when it fires and when it escalates, and another each time
// `recover_within` passes without recovery. Refused attempts (limit, stopped) and those that never
// began are final: the alert gets the next chance when it escalates. A command's time counts from
// when it began. Judged by the alert: resolved because its condition
// cleared is `recovered`; resolved because its data ended is `no_data`, which counts for nothing;
// still open at the deadline is `not_recovered`. `stop_after` of these in a row stop the action
// until a person resets it.
// Time is the recorded wall clock, counted in steps of at most five seconds: time during which the
// process did not run, or that a clock was set by, does not pass.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/alerts/book.h"
#include "store/commit/journal_kinds.h"

namespace qw::monitor {

// When an action may start: allowed at all, how often, and when to give up. A value; check() names
// what is out of range.
struct HealPolicy {
  bool enabled = false;  // the application allows healing; false: every attempt is a dry run
  bool dry_run = false;
  bool reruns_after_crash = false;  // webhooks (idempotent, by the outbox) yes; commands never
  int64_t recover_within_us = 60'000'000;
  uint32_t limit_count = 3;            // at most this many attempts ...
  int64_t limit_per_us = 600'000'000;  // ... in any span this long
  uint32_t stop_after = 3;             // actions in a row without recovery; 0: never stops
};
// kBadInput naming the setting.
Result<void> check(const HealPolicy& policy);

enum class HealStepKind : uint8_t {
  kStart,    // the caller makes this durable, then acts
  kDryRun,   // would have started
  kSkip,     // not started: `note` says why
  kOutcome,  // judged: `outcome`
  kUnknown,  // was running at a crash and is not run again
  kReset,    // a person allowed it again
};
std::string_view name_of(HealStepKind kind);  // "action_started", "action_skipped", ...
enum class HealOutcome : uint8_t { kRecovered, kNotRecovered, kNoData };
std::string_view name_of(HealOutcome outcome);

// One step of a healing action, as the journal keeps it. A value.
struct HealStep {
  HealStepKind kind = HealStepKind::kStart;
  std::string heal;  // its name in the application
  std::string action_id;
  std::string alert_id;
  uint32_t attempt = 0;  // from 1, per alert
  int64_t at_us = 0;
  HealOutcome outcome = HealOutcome::kRecovered;  // of kOutcome
  int64_t took_us = 0;                            // of kOutcome: since the start
  std::string note;
};
store::HealStepBody journal_body(const HealStep& step);

// "act-" and 16 hex digits: the same after every replay. Receivers tell repeats by it.
std::string heal_action_id(std::string_view heal, std::string_view alert_id, uint32_t attempt);

// One healing action of the application. Owned by the pipeline; one thread at a time. Its state is
// small (at most 1024 open attempts): store it in the commit that stores its steps.
class Healer {
 public:
  Healer(std::string name, HealPolicy policy);

  // `wanted`: the action's `when` holds for this alert. Also ends of alerts must be given.
  void on_alert(const AlertChange& change, bool wanted, int64_t at_us,
                std::vector<HealStep>& steps);
  void on_tick(int64_t at_us, std::vector<HealStep>& steps);
  // The same while events wait unread, the recovery perhaps among them: no time passes.
  void on_tick_behind(int64_t at_us) { clock_us_ = at_us; }
  // The webhook was answered or the command ended, well or not; recovery is judged all the same.
  void on_finished(std::string_view action_id);
  // A command begins now.
  void on_begun(std::string_view action_id);
  // Once after a restart: commands that had begun and not finished become unknown, but not these
  // (action ids), which had not begun.
  void after_restart(int64_t at_us, const std::set<std::string>& queued,
                     std::vector<HealStep>& steps);
  // The same for one whose alert has ended, or whose time was over.
  void is_unknown(const std::string& alert_id, uint32_t number, int64_t at_us,
                  std::vector<HealStep>& steps);
  // Whether the alert of this action is open and nothing came after it.
  bool waits_for(std::string_view action_id) const;
  // A command that was queued does not run, for this reason.
  void never_began(const std::string& alert_id, uint32_t number, const std::string& reason,
                   int64_t at_us, std::vector<HealStep>& steps);
  void reset(int64_t at_us, std::vector<HealStep>& steps);

  // Whether time that passes can change it: then it is stored at each tick, or a restart would take
  // back the time since the last step.
  bool time_matters() const;
  // The wall clock at its last input; kNever before.
  int64_t clock_us() const { return clock_us_; }
  bool stopped() const { return policy_.stop_after > 0 && failures_ >= policy_.stop_after; }
  const std::string& name() const { return name_; }

  void save(std::string& out) const;
  // kCorrupt or kUnsupported; the healer is then unchanged.
  Result<void> restore(std::string_view bytes);

 private:
  struct Attempt {
    std::string alert_id;
    uint32_t number = 0;
    int64_t started = 0;  // own time
    bool finished = false;
    bool judged = false;  // the deadline passed; kept to number a further attempt
    bool queued = false;  // a command that has not begun; what a start must know of it is its job
  };
  Attempt* find(std::string_view action_id);
  void advance(int64_t at_us);
  void attempt(Attempt& open, int64_t at_us, std::vector<HealStep>& steps);
  std::string refusal() const;
  HealStep step(HealStepKind kind, const Attempt& open, int64_t at_us) const;

  std::string name_;
  HealPolicy policy_;
  int64_t clock_us_ = kNever;
  int64_t now_ = 0;              // own time
  std::vector<int64_t> recent_;  // own times of the last limit_count attempts
  std::vector<Attempt> open_;
  uint32_t failures_ = 0;  // in a row
};

}  // namespace qw::monitor
