// The kinds of journal records, every one of them, and what the body of each says. A new kind gets
// its struct here, and its fields in journal_kinds.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/records.h"

// A body is a value. Its JSON has a field's own name, and is what data folders hold, `quickwater
// log` prints and SQL reads: names and types of fields never change, a new field is one that may be
// absent. Numbers that are not known are NaN here and null there. `kind`, where a body has one,
// stands in the record, not in the JSON.
namespace qw::store {

// ---- the program

// Starts and stops of the program, and what keeps it from its work. SystemLog, Outboxes.
struct SystemBody {
  static constexpr std::string_view kKinds[] = {"system"};
  std::string phase;  // "started", "stopped", "disk_full", "source_failed", "late_events", ...
  std::string title;
  std::string detail;
};

// A view lacks events that its windows need. Pipeline.
struct ViewIncompleteBody {
  static constexpr std::string_view kKinds[] = {"view_incomplete"};
  std::string view;
  std::string source;
  uint32_t partition = 0;  // of the source
  int64_t lost_until_us = 0;
  int64_t complete_from_us = 0;
};

// The process crashed on a record, which is among the dead letters now. Pipeline.
struct RecordQuarantinedBody {
  static constexpr std::string_view kKinds[] = {"record_quarantined"};
  std::string source;
  std::string position;
  std::string reason;
};

// A row of an outbox that will not be delivered: refused by the receiver, expired, or failed too
// often. OutboxWorker.
struct DeliveryBody {
  static constexpr std::string_view kRefused = "delivery_refused";
  static constexpr std::string_view kExpired = "delivery_expired";
  static constexpr std::string_view kFailed = "delivery_failed";
  static constexpr std::string_view kKinds[] = {kRefused, kExpired, kFailed};
  std::string kind{kRefused};
  std::string sink;
  std::string action_id;
  int64_t created_at_us = 0;
  std::string reason;
};

// ---- models

// A version was published, refused, warmed up, swapped in or rolled back. Rollout, Trainer.
struct ModelBody {
  static constexpr std::string_view kKinds[] = {"model"};
  std::string phase;
  std::string model;
  std::string version;
  std::optional<std::string> run_id;  // of the training that made it
  std::string title;
  std::string detail;
};

// A training as it stood. Trainer.
struct TrainingBody {
  static constexpr std::string_view kKinds[] = {"training"};
  std::string run_id;
  std::string model;
  std::string state;  // "running", "published", "refused", "failed"
  std::string trigger;
  std::string reason;
  uint64_t trials_done = 0;
  uint64_t trials_total = 0;
  std::optional<int64_t> started_us;  // absent: at the record's time
  int64_t ended_us = 0;               // 0: not yet
  std::string message;
  std::string training;  // the application file's entry; empty: the model's first
  bool again = false;
  std::optional<double> best;
  std::optional<std::string> version;
  std::string phase;  // "started", "finished", "refused", "failed"
  std::string title;
  std::string detail;
};

// The scores of a model drift, or no longer do. Monitors.
struct DriftBody {
  static constexpr std::string_view kKinds[] = {"drift"};
  std::string model;
  std::string decision;
  std::string served_by;
  std::string state;  // "drifting", "steady"
  std::string test;   // "ks"
  double value = 0;
  double threshold = 0;
  double p_value = 0;
  uint64_t scores = 0;
  uint64_t look = 0;
  int64_t event_us = 0;
  std::string message;
  std::optional<std::string> retrain;  // the training that it asks for
};

// ---- what was true

// A person's word on an alert; the last one counts. The page's API.
struct VerdictBody {
  static constexpr std::string_view kKinds[] = {"verdict"};
  std::string alert_id;
  bool real = true;
  std::string note;

  std::string_view verdict() const { return real ? "real" : "false_alarm"; }
};

// An incident that was made on purpose begins or is over. One whose end was never written ended at
// its ends_us at the latest. The demo.
struct IncidentBody {
  static constexpr std::string_view kStarted = "incident_started";
  static constexpr std::string_view kEnded = "incident_ended";
  static constexpr std::string_view kKinds[] = {kStarted, kEnded};
  std::string kind{kStarted};
  std::string id;
  std::string load;   // "cpu", "memory", "disk"; in JSON "kind"
  std::string state;  // "running", "ended", "stopped", "healed", "failed"
  int64_t started_us = 0;
  int64_t ends_us = 0;  // once it is over: when it ended
  std::string message;  // empty: absent
};

// The 5th, 50th and 95th percentile. A value.
struct UsualSpan {
  double low = 0, mid = 0, high = 0;
};
// Of one series: "value", and each feature by its name; what is not known is not there. A value.
using UsualSpans = std::map<std::string, UsualSpan>;

// What was usual when an alert fired. The page's API.
struct UsualBody {
  static constexpr std::string_view kKinds[] = {"usual"};
  std::string alert_id;
  UsualSpans usual;
};

// ---- alerts and healing

// A part of a score. A value.
struct AlertMemberBody {
  std::string name;
  std::string title;  // empty: null
  double contribution = 0;
};
// One feature of the decision behind an alert. A value.
struct AlertFeatureBody {
  std::string name;
  double value = 0;
  std::string status;
  std::string aggregate;  // empty: null
  std::optional<int64_t> window_us;
  double usual_low = 0, usual_mid = 0, usual_high = 0;
};

// An alert fired, got worse, ended, or has had no events for long. Alerting.
struct AlertBody {
  static constexpr std::string_view kFired = "alert_fired";
  static constexpr std::string_view kEscalated = "alert_escalated";
  static constexpr std::string_view kResolved = "alert_resolved";
  static constexpr std::string_view kStale = "alert_stale";
  static constexpr std::string_view kKinds[] = {kFired, kEscalated, kResolved, kStale};
  std::string kind{kFired};
  std::string id;
  std::string decision;
  std::string state;     // "open", "resolved"
  std::string severity;  // "info", "warning", "critical"
  std::string title;
  std::string series_id;
  std::string metric, entity, unit;
  int64_t began_us = 0;
  int64_t opened_us = 0;
  std::optional<int64_t> resolved_us;       // null while it is open
  std::optional<double> recovered_after_s;  // likewise
  double value = 0, score = 0, score_max = 0, threshold = 0;
  double usual_low = 0, usual_mid = 0, usual_high = 0;
  std::string model, version;
  std::vector<AlertMemberBody> members;
  std::vector<AlertFeatureBody> features;
  std::string lead_id;
  bool flapping = false;
  std::string reason;      // why it ended: "cleared", "no_data"; empty: absent
  uint32_t partition = 0;  // of the decisions, as the application numbers them
  std::string key;
  bool notified = true;
};

// A step of a healing action. Healers.
struct HealStepBody {
  static constexpr std::string_view kStarted = "action_started";
  static constexpr std::string_view kDryRun = "action_dry_run";
  static constexpr std::string_view kSkipped = "action_skipped";
  static constexpr std::string_view kOutcome = "action_outcome";
  static constexpr std::string_view kUnknown = "action_unknown";
  static constexpr std::string_view kReset = "action_reset";
  static constexpr std::string_view kKinds[] = {kStarted, kDryRun,  kSkipped,
                                                kOutcome, kUnknown, kReset};
  std::string kind{kStarted};
  std::string heal;
  std::string action_id;
  std::string alert_id;
  uint32_t attempt = 0;
  int64_t at_us = 0;
  std::optional<std::string> outcome;  // "recovered", "not_recovered", "no_data"
  std::optional<double> took_s;        // with an outcome
  std::string message;                 // empty: absent
};

// How a command ended. A value.
struct CommandEndBody {
  std::string end;  // "exited", "signalled", "timed_out", "cancelled", "not_started"
  std::optional<int64_t> exit_code;  // null unless it exited
  std::optional<int64_t> signal;
  double took_s = 0;
  std::string out, err;  // in JSON "stdout", "stderr"
  bool cut = false;

  bool well() const { return end == "exited" && exit_code == 0; }
};

// A webhook was answered or given up, or a command ended. Healers.
struct ActionFinishedBody {
  static constexpr std::string_view kKinds[] = {"action_finished"};
  std::string action_id;
  std::optional<CommandEndBody> command;  // that ran; else the fields up to http_status
  std::string state;                      // "delivered", "failed", "skipped"
  std::optional<uint64_t> attempts;
  std::optional<int64_t> http_status;
  std::string message;  // of a command: empty is absent
};

// ---- a body and its record

template <class Body>
bool is_a(const schema::JournalRecord& record) {
  return std::ranges::find(Body::kKinds, record.kind) != std::end(Body::kKinds);
}

template <class Body>
nlohmann::ordered_json json_of(const Body& body);

// Names and reasons may hold bytes that are not UTF-8; they are replaced rather than refused.
template <class Body>
schema::JournalRecord journal_record(const Body& body, int64_t at_us);

// Of a record that is_a<Body>(). kCorrupt, naming the kind: it is no JSON object, or a field is
// missing or of another type. Fields that are not known here are passed over.
template <class Body>
Result<Body> body_of(const schema::JournalRecord& record);

}  // namespace qw::store
