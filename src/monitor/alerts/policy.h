// When a decision's severity becomes an alert: pending, firing, resolved. Pure: state and input in,
// new state and at most one transition out; no clock is read, so a replay gives the same alerts.
//
// Two times never mix. *Event time* of observations measures `for`, `resolve_after` and cooldown.
// *Quiet time*, which comes with each decision and tick, only measures silence: a key of which
// nothing is heard. It passes while the program runs and nothing of the source waits unread, and
// goes on after a restart where it was. Between observations the last word stands.
//
//  idle --severity--> pending --held for `for`--> firing --clear for `resolve_after`--> idle
//
// - An observation older than the newest one of its key (out of order) is not judged.
// - Silence as long as `for` (last word: a severity) fires a pending alert; as long as
//   `resolve_after` (last word: none) resolves a firing one. Silence of `stale_after` ends a
//   pending alert, and resolves or marks a firing one (`on_missing`).
// - Time away, a stopped process and unread events are no silence: what came meanwhile is read, and
//   a run goes on by event time, as if nobody had been away.
// - Where the machine's clock was set and event time jumps with it (by more than
//   `max_clock_step`), what was being measured starts anew at the next observation. An open alert
//   stays open.
// - A severity must itself hold for `for`: a single 'page' among 'warn' does not page. An open
// alert
//   only rises in severity. Cooldown holds back a new alert of the same or a lower severity; if the
//   condition then still holds, it fires.
// - A key that fired `flap_fires` times within `flap_window` is flapping: its alert stays open
// until
//   it is clear for `flap_resolve_after`.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace qw::monitor {

// What a decision's output expression says: null (none), 'info', 'warn' or 'page'.
enum class Severity : uint8_t { kNone = 0, kInfo, kWarn, kPage };
// "none", "info", "warn", "page".
std::string_view name_of(Severity severity);
// As the control API writes it: "none", "info", "warning", "critical".
std::string_view api_name_of(Severity severity);
// kBadInput with the list of known words. Also takes "warning" and "critical".
Result<Severity> parse_severity(std::string_view text);

// What to do with a firing alert of which nothing more is heard.
enum class OnMissing : uint8_t {
  kResolve,    // resolve it with reason no_data
  kMarkStale,  // keep it open and say so, once per silence
};

constexpr int64_t kStaleAfterUs = 60'000'000;

// The times and counts that step() measures by. A value; check() names what is out of range.
struct AlertPolicy {
  int64_t for_us = 2'000'000;
  int64_t resolve_after_us = 10'000'000;
  int64_t cooldown_us = 60'000'000;  // from the resolution
  int64_t stale_after_us = kStaleAfterUs;
  bool learns_stale_after = false;  // longer for a key that pauses longer (AlertBook)
  OnMissing on_missing = OnMissing::kResolve;
  int64_t max_clock_step_us = 5'000'000;
  uint32_t flap_fires = 3;  // 2..4, or 0: never
  int64_t flap_window_us = 600'000'000;
  int64_t flap_resolve_after_us = 120'000'000;
};
// kBadInput naming the setting and how to mend it.
Result<void> check(const AlertPolicy& policy);

constexpr int64_t kNever = std::numeric_limits<int64_t>::min();
constexpr size_t kFlapMemory = 4;

enum class AlertPhase : uint8_t { kIdle = 0, kPending, kFiring };

// What the policy remembers of one key. A value; fixed size when stored.
struct AlertState {
  AlertPhase phase = AlertPhase::kIdle;
  Severity severity = Severity::kNone;   // of the open alert, or of the last one
  Severity last_word = Severity::kNone;  // the newest observation's
  bool stale = false;                    // silence of this length was already reported
  bool flapping = false;                 // judged when the alert fired
  int8_t clock_set = 0;                  // -1 back, +1 ahead, since the newest observation
  std::array<int64_t, 3> since_us{kNever, kNever, kNever};  // run at or above info, warn, page
  int64_t clear_since_us = kNever;
  int64_t last_event_us = kNever;
  int64_t quiet_us = kNever;  // quiet time up to which it is counted how long nothing was heard
  int64_t silent_us = 0;
  int64_t began_us = kNever;   // first event of the run that became the alert
  int64_t opened_us = kNever;  // when `for` was satisfied
  int64_t cooldown_until_us = kNever;
  std::array<int64_t, kFlapMemory> fired_us{kNever, kNever, kNever, kNever};  // newest first
  double score_max = 0;    // since the run or the alert began
  uint64_t run_seq = 0;    // event that began the present run
  uint64_t alert_seq = 0;  // event that began the alert: identifies it
  uint64_t applied_seq = 0;
  uint64_t applied_tick = 0;

  friend bool operator==(const AlertState&, const AlertState&) = default;
  // Whether ticks can change it.
  bool needs_ticks() const { return phase != AlertPhase::kIdle; }
};
constexpr size_t kAlertStateBytes = 166;
// Appends kAlertStateBytes.
void encode_alert_state(const AlertState& state, std::string& out);
// kCorrupt, or kUnsupported when a newer version wrote it. Version 1 measured silence by the wall
// clock and counted ticks from each start: both are forgotten.
Result<AlertState> decode_alert_state(std::string_view bytes);

// A decision's word on a key. `seq` grows within the key's partition.
struct Observation {
  Seq seq;
  EventTime event_time;
  int64_t quiet_us = 0;
  Severity severity = Severity::kNone;
  double score = 0;
};

// A moment about once a second. `number` grows, over restarts too. `after` is the newest seq of the
// key's partition when the tick was taken: it fixes the order of ticks and observations, which a
// replay must keep.
struct Tick {
  uint64_t number = 0;
  int64_t quiet_us = 0;
  Seq after;
};

enum class TransitionKind : uint8_t { kFired, kEscalated, kResolved, kStale };
std::string_view name_of(TransitionKind kind);  // "alert_fired", "alert_escalated", ...
enum class ResolveReason : uint8_t { kCleared, kNoData };
std::string_view name_of(ResolveReason reason);  // "cleared", "no_data"

// The one change that a step may make. A value.
struct Transition {
  TransitionKind kind = TransitionKind::kFired;
  Severity severity = Severity::kNone;
  ResolveReason reason = ResolveReason::kCleared;  // of kResolved
  int64_t at_us = 0;                               // event time
  uint64_t alert_seq = 0;
  Severity previous = Severity::kNone;  // of kEscalated: what it was
};

// The machine's clock was set: -1 back, +1 ahead.
void note_clock_set(AlertState& state, int8_t direction);

// At or below what the state has applied, both change nothing: replaying is safe.
std::optional<Transition> step(const AlertPolicy& policy, AlertState& state,
                               const Observation& observation);
std::optional<Transition> step(const AlertPolicy& policy, AlertState& state, const Tick& tick);

}  // namespace qw::monitor
