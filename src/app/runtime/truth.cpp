#include "app/runtime/truth.h"

#include <fmt/format.h>

namespace qw::app {
namespace {

using nlohmann::json;

Error damaged(const schema::JournalRecord& record, const char* why) {
  return {ErrorCode::kCorrupt,
          fmt::format("a journal record '{}' cannot be read: {}", record.kind, why), "journal", ""};
}

}  // namespace

json VerdictRecord::json() const {
  return {{"alert_id", alert_id}, {"verdict", real ? "real" : "false_alarm"}, {"note", note}};
}

json IncidentRecord::json() const {
  return {{"id", id},
          {"kind", kind},
          {"state", state},
          {"started_us", started_us},
          {"ends_us", ends_us}};
}

Result<std::optional<VerdictRecord>> verdict_of(const schema::JournalRecord& record) {
  if (record.kind != VerdictRecord::kKind) return std::optional<VerdictRecord>();
  try {
    const json body = json::parse(record.json);
    VerdictRecord verdict;
    verdict.alert_id = body.at("alert_id").get<std::string>();
    verdict.real = body.at("verdict").get<std::string>() == "real";
    verdict.note = body.value("note", "");
    return std::optional(verdict);
  } catch (const json::exception& problem) {
    return damaged(record, problem.what());
  }
}

Result<std::optional<IncidentRecord>> incident_of(const schema::JournalRecord& record) {
  if (record.kind != IncidentRecord::kStarted && record.kind != IncidentRecord::kEnded)
    return std::optional<IncidentRecord>();
  try {
    const json body = json::parse(record.json);
    IncidentRecord incident;
    incident.id = body.at("id").get<std::string>();
    incident.kind = body.value("kind", "");
    incident.state = body.value("state", "");
    incident.started_us = body.at("started_us").get<int64_t>();
    incident.ends_us = body.at("ends_us").get<int64_t>();
    return std::optional(incident);
  } catch (const json::exception& problem) {
    return damaged(record, problem.what());
  }
}

}  // namespace qw::app
