#include "monitor/alerts/policy.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "store/commit/journal_kinds.h"

namespace qw::monitor {
namespace {

constexpr uint8_t kStateVersion = 2;

// Never overflows: times come from outside.
int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<int64_t>::max() : kNever + 1;
}
int64_t elapsed(int64_t from_us, int64_t to_us) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(to_us, from_us, &difference)) return difference;
  return to_us > from_us ? std::numeric_limits<int64_t>::max() : kNever + 1;
}

// Whether event time moved with a clock that was set. Where it goes on, it is of another clock: no
// moment of a run is missing.
bool jumps_along(const AlertPolicy& policy, const AlertState& state, int64_t event_us) {
  if (state.last_event_us == kNever) return true;
  const int64_t moved_us = elapsed(state.last_event_us, event_us);
  return moved_us < 0 || moved_us > policy.max_clock_step_us;
}

void forget_runs(AlertState& state) {
  state.since_us.fill(kNever);
  state.clear_since_us = kNever;
}

// The clock was set back and event time follows it: what lies in the old future moves along.
void move_back(AlertState& state, int64_t event_us) {
  const int64_t shift_us = elapsed(state.last_event_us, event_us);
  if (state.cooldown_until_us != kNever)
    state.cooldown_until_us = saturating_add(state.cooldown_until_us, shift_us);
  for (int64_t& fired_us : state.fired_us)
    if (fired_us != kNever) fired_us = saturating_add(fired_us, shift_us);
  state.last_event_us = event_us;
}

void take_word(AlertState& state, const Observation& observation) {
  const int64_t event_us = observation.event_time.value();
  const bool begins = observation.severity != Severity::kNone && state.since_us[0] == kNever;
  if (begins) state.run_seq = observation.seq.value();
  if (begins && state.phase != AlertPhase::kFiring) state.score_max = 0;
  if (state.phase == AlertPhase::kFiring || observation.severity != Severity::kNone)
    state.score_max = std::max(state.score_max, observation.score);  // a NaN changes nothing
  for (size_t level = 0; level < state.since_us.size(); ++level) {
    int64_t& since_us = state.since_us[level];
    if (static_cast<size_t>(observation.severity) <= level)
      since_us = kNever;
    else if (since_us == kNever)
      since_us = event_us;
  }
  if (observation.severity != Severity::kNone)
    state.clear_since_us = kNever;
  else if (state.clear_since_us == kNever)
    state.clear_since_us = event_us;
  state.last_word = observation.severity;
  state.last_event_us = event_us;
  state.silent_us = 0;
  state.stale = false;
}

Severity held_severity(const AlertPolicy& policy, const AlertState& state, int64_t now_us) {
  for (size_t level = state.since_us.size(); level > 0; --level) {
    const int64_t since_us = state.since_us[level - 1];
    if (since_us != kNever && elapsed(since_us, now_us) >= policy.for_us)
      return static_cast<Severity>(level);
  }
  return Severity::kNone;
}

void remember_fire(const AlertPolicy& policy, AlertState& state, int64_t now_us) {
  std::rotate(state.fired_us.begin(), state.fired_us.end() - 1, state.fired_us.end());
  state.fired_us[0] = now_us;
  if (policy.flap_fires == 0) return;
  const int64_t oldest_us = state.fired_us[policy.flap_fires - 1];
  state.flapping = oldest_us != kNever && elapsed(oldest_us, now_us) <= policy.flap_window_us;
}

std::optional<Transition> raise(const AlertPolicy& policy, AlertState& state, int64_t now_us) {
  const Severity held = held_severity(policy, state, now_us);
  if (held == Severity::kNone) return std::nullopt;
  if (state.phase == AlertPhase::kFiring) {
    if (held <= state.severity) return std::nullopt;
    const Severity previous = std::exchange(state.severity, held);
    return Transition{TransitionKind::kEscalated, held, {}, now_us, state.alert_seq, previous};
  }
  const bool cooling = state.cooldown_until_us != kNever && now_us < state.cooldown_until_us;
  if (cooling && held <= state.severity) return std::nullopt;
  state.phase = AlertPhase::kFiring;
  state.severity = held;
  state.began_us = state.since_us[0];
  state.opened_us = now_us;
  state.alert_seq = state.run_seq;
  state.flapping = false;
  remember_fire(policy, state, now_us);
  return Transition{TransitionKind::kFired, held, {}, now_us, state.alert_seq};
}

Transition resolve(const AlertPolicy& policy, AlertState& state, int64_t now_us,
                   ResolveReason reason) {
  state.phase = AlertPhase::kIdle;
  state.cooldown_until_us = saturating_add(now_us, policy.cooldown_us);
  state.flapping = false;
  if (reason == ResolveReason::kNoData) forget_runs(state);
  return Transition{TransitionKind::kResolved, state.severity, reason, now_us, state.alert_seq};
}

int64_t clear_needed_us(const AlertPolicy& policy, const AlertState& state) {
  return state.flapping ? std::max(policy.flap_resolve_after_us, policy.resolve_after_us)
                        : policy.resolve_after_us;
}

std::optional<Transition> go_stale(const AlertPolicy& policy, AlertState& state, int64_t now_us) {
  if (state.phase == AlertPhase::kPending) {
    state.phase = AlertPhase::kIdle;
    forget_runs(state);
    return std::nullopt;
  }
  if (policy.on_missing == OnMissing::kResolve)
    return resolve(policy, state, now_us, ResolveReason::kNoData);
  if (state.stale) return std::nullopt;
  state.stale = true;
  return Transition{TransitionKind::kStale, state.severity, {}, now_us, state.alert_seq};
}

Error bad_setting(std::string message, std::string how_to_mend) {
  return Error{ErrorCode::kBadInput, std::move(message), "alert policy", std::move(how_to_mend)};
}

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kNone: return "none";
    case Severity::kInfo: return "info";
    case Severity::kWarn: return "warn";
    case Severity::kPage: return "page";
  }
  return "none";
}

std::string_view api_name_of(Severity severity) {
  switch (severity) {
    case Severity::kNone: return "none";
    case Severity::kInfo: return "info";
    case Severity::kWarn: return "warning";
    case Severity::kPage: return "critical";
  }
  return "none";
}

Result<Severity> parse_severity(std::string_view text) {
  if (text == "info") return Severity::kInfo;
  if (text == "warn" || text == "warning") return Severity::kWarn;
  if (text == "page" || text == "critical") return Severity::kPage;
  return Error{ErrorCode::kBadInput, "unknown severity '" + std::string(text) + "'", "",
               "use 'page', 'warn', 'info', or null for no alert"};
}

std::string_view name_of(TransitionKind kind) {
  switch (kind) {
    case TransitionKind::kFired: return store::AlertBody::kFired;
    case TransitionKind::kEscalated: return store::AlertBody::kEscalated;
    case TransitionKind::kResolved: return store::AlertBody::kResolved;
    case TransitionKind::kStale: return store::AlertBody::kStale;
  }
  return store::AlertBody::kFired;
}

std::string_view name_of(ResolveReason reason) {
  return reason == ResolveReason::kNoData ? "no_data" : "cleared";
}

Result<void> check(const AlertPolicy& policy) {
  const int64_t shortest = std::min({policy.for_us, policy.resolve_after_us, policy.cooldown_us,
                                     policy.flap_window_us, policy.flap_resolve_after_us});
  if (shortest < 0) return bad_setting("a duration is negative", "use 0 or more");
  if (policy.stale_after_us <= std::max(policy.for_us, policy.resolve_after_us))
    return bad_setting("stale_after is not longer than for and resolve_after",
                       "make it the longest of the three, or leave it out");
  if (policy.max_clock_step_us < 1'000'000)
    return bad_setting("max_clock_step is below one second", "use 5s");
  if (policy.flap_fires == 1 || policy.flap_fires > kFlapMemory)
    return bad_setting("flap_fires is not 0 or 2 to 4", "use 3, or 0 to switch it off");
  return {};
}

void note_clock_set(AlertState& state, int8_t direction) { state.clock_set = direction; }

std::optional<Transition> step(const AlertPolicy& policy, AlertState& state,
                               const Observation& observation) {
  if (observation.seq.value() <= state.applied_seq) return std::nullopt;
  state.applied_seq = observation.seq.value();
  const int64_t event_us = observation.event_time.value();
  state.quiet_us = observation.quiet_us;
  const bool time_jumps = state.clock_set != 0 && jumps_along(policy, state, event_us);
  if (state.clock_set < 0 && event_us < state.last_event_us) move_back(state, event_us);
  if (event_us < state.last_event_us) {
    state.silent_us = 0;
    return std::nullopt;
  }
  state.clock_set = 0;
  if (time_jumps) forget_runs(state);
  take_word(state, observation);
  if (state.phase != AlertPhase::kFiring)
    state.phase =
        observation.severity == Severity::kNone ? AlertPhase::kIdle : AlertPhase::kPending;
  if (auto raised = raise(policy, state, event_us)) return raised;
  if (state.phase == AlertPhase::kFiring && state.clear_since_us != kNever &&
      elapsed(state.clear_since_us, event_us) >= clear_needed_us(policy, state))
    return resolve(policy, state, event_us, ResolveReason::kCleared);
  return std::nullopt;
}

std::optional<Transition> step(const AlertPolicy& policy, AlertState& state, const Tick& tick) {
  if (tick.number <= state.applied_tick || tick.after.value() < state.applied_seq ||
      !state.needs_ticks())
    return std::nullopt;
  state.applied_tick = tick.number;
  // A crash may take the quiet time of the last second with it.
  const int64_t moved_us = state.quiet_us == kNever ? 0 : elapsed(state.quiet_us, tick.quiet_us);
  state.quiet_us = tick.quiet_us;
  state.silent_us = saturating_add(state.silent_us, std::max<int64_t>(moved_us, 0));
  const int64_t now_us = saturating_add(state.last_event_us, state.silent_us);
  if (state.silent_us >= policy.stale_after_us) return go_stale(policy, state, now_us);
  if (state.last_word != Severity::kNone) {
    if (state.silent_us < policy.for_us) return std::nullopt;
    return raise(policy, state, now_us);
  }
  if (state.phase == AlertPhase::kFiring && state.silent_us >= clear_needed_us(policy, state))
    return resolve(policy, state, now_us, ResolveReason::kCleared);
  return std::nullopt;
}

void encode_alert_state(const AlertState& state, std::string& out) {
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.u8(kStateVersion);
  writer.u8(static_cast<uint8_t>(state.phase));
  writer.u8(static_cast<uint8_t>(state.severity));
  writer.u8(static_cast<uint8_t>(state.last_word));
  writer.u8(static_cast<uint8_t>((state.stale ? 1 : 0) | (state.flapping ? 2 : 0)));
  writer.u8(static_cast<uint8_t>(state.clock_set + 1));
  for (const int64_t since_us : state.since_us) writer.i64(since_us);
  for (const int64_t time_us :
       {state.clear_since_us, state.last_event_us, state.quiet_us, state.silent_us, state.began_us,
        state.opened_us, state.cooldown_until_us})
    writer.i64(time_us);
  for (const int64_t fired_us : state.fired_us) writer.i64(fired_us);
  writer.f64(state.score_max);
  for (const uint64_t number :
       {state.run_seq, state.alert_seq, state.applied_seq, state.applied_tick})
    writer.u64(number);
  const uint64_t check = checksum64(std::string_view(out).substr(begin));
  writer.u64(check);
  QW_ASSERT(out.size() - begin == kAlertStateBytes);
}

Result<AlertState> decode_alert_state(std::string_view bytes) {
  if (bytes.size() != kAlertStateBytes)
    return Error{ErrorCode::kCorrupt, "a stored alert state has a wrong length", "", ""};
  const std::string_view body = bytes.substr(0, kAlertStateBytes - sizeof(uint64_t));
  ByteReader check(bytes.substr(body.size()));
  if (check.u64() != checksum64(body))
    return Error{ErrorCode::kCorrupt, "a stored alert state fails its checksum", "", ""};
  ByteReader reader(body);
  const uint8_t version = reader.u8();
  if (version == 0 || version > kStateVersion)
    return Error{ErrorCode::kUnsupported, "an alert state was written by a newer Quickwater", "",
                 "start the newer version, or use a fresh data folder"};
  AlertState state;
  const uint8_t phase = reader.u8();
  const uint8_t severity = reader.u8();
  const uint8_t last_word = reader.u8();
  const uint8_t flags = reader.u8();
  const uint8_t set = reader.u8();
  if (phase > 2 || severity > 3 || last_word > 3 || flags > 3 || set > 2)
    return Error{ErrorCode::kCorrupt, "a stored alert state holds an unknown value", "", ""};
  state.phase = static_cast<AlertPhase>(phase);
  state.severity = static_cast<Severity>(severity);
  state.last_word = static_cast<Severity>(last_word);
  state.stale = (flags & 1) != 0;
  state.flapping = (flags & 2) != 0;
  state.clock_set = static_cast<int8_t>(set - 1);
  for (int64_t& since_us : state.since_us) since_us = reader.i64();
  for (int64_t* time_us :
       {&state.clear_since_us, &state.last_event_us, &state.quiet_us, &state.silent_us,
        &state.began_us, &state.opened_us, &state.cooldown_until_us})
    *time_us = reader.i64();
  for (int64_t& fired_us : state.fired_us) fired_us = reader.i64();
  state.score_max = reader.f64();
  for (uint64_t* number :
       {&state.run_seq, &state.alert_seq, &state.applied_seq, &state.applied_tick})
    *number = reader.u64();
  if (version == 1) {
    state.quiet_us = kNever;
    state.applied_tick = 0;
  }
  return state;
}

}  // namespace qw::monitor
