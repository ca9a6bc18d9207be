// Journal records that say what was true: a person's verdict on an alert, an incident that was
// made on purpose. Written by the page's API and the demo, read by training.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "schema/records.h"

namespace qw::app {

// Kind "verdict": {"alert_id", "verdict": "real" | "false_alarm", "note"}. The last one of an alert
// counts.
struct VerdictRecord {
  static constexpr const char* kKind = "verdict";
  std::string alert_id;
  bool real = true;
  std::string note;
  nlohmann::json json() const;
};

// Kinds "incident_started" and "incident_ended": {"id", "kind": "cpu", "state": "running" | "ended"
// | "stopped" | "healed" | "failed", "started_us", "ends_us"}; once it is over ends_us is when it
// ended. An incident whose end was never written ended at its ends_us at the latest.
struct IncidentRecord {
  static constexpr const char* kStarted = "incident_started";
  static constexpr const char* kEnded = "incident_ended";
  std::string id;
  std::string kind;
  std::string state;
  int64_t started_us = 0;
  int64_t ends_us = 0;
  nlohmann::json json() const;
};

// The record's body. Nothing when it is of another kind; kCorrupt when a field is missing.
Result<std::optional<VerdictRecord>> verdict_of(const schema::JournalRecord& record);
Result<std::optional<IncidentRecord>> incident_of(const schema::JournalRecord& record);

}  // namespace qw::app
