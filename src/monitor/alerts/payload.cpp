#include "monitor/alerts/payload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/time_text.h"

namespace qw::monitor {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::string_view kZeroTime = "0001-01-01T00:00:00Z";  // Go's zero: no end yet

// Foreign bytes (process names, user data) must not make a body invalid.
std::string written(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string short_number(double number) {
  if (!std::isfinite(number)) return "unknown";
  return fmt::format("{:.6g}", number);
}

std::string with_unit(double number, const std::string& unit) {
  const bool known = std::isfinite(number) && !unit.empty() && unit != "count";
  return short_number(number) + (known ? " " + unit : "");
}

bool resolved(const AlertDetail& detail) {
  return detail.change.transition.kind == TransitionKind::kResolved;
}

// What is told of an alert is what the journal keeps, without where it keeps it.
Json detail_json(const AlertDetail& detail) {
  Json json = store::json_of(journal_body(detail));
  for (const char* const own : {"partition", "key", "notified"}) json.erase(own);
  return json;
}

Json object_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json json = Json::object();
  for (const auto& [name, value] : pairs) json[name] = value;
  return json;
}

Json annotations_of(const AlertDetail& detail) {
  Json json;
  json["summary"] = summary_of(detail);
  std::string why = fmt::format("score {} against a threshold of {}", short_number(detail.score),
                                short_number(detail.threshold));
  auto members = detail.members;
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.contribution > b.contribution; });
  for (size_t i = 0; i < members.size() && i < 2; ++i)
    why += fmt::format("; {} {}", members[i].title.empty() ? members[i].name : members[i].title,
                       short_number(members[i].contribution));
  json["description"] = why;
  json["value"] = short_number(detail.value);
  json["alert_id"] = detail.change.alert_id;
  return json;
}

// The alert as it was known before it escalated, ended at that moment.
AlertDetail replaced(const AlertDetail& detail) {
  AlertDetail before = detail;
  Transition& transition = before.change.transition;
  transition.severity = transition.previous;
  transition.kind = TransitionKind::kResolved;
  return before;
}
bool escalated(const AlertDetail& detail) {
  return detail.change.transition.kind == TransitionKind::kEscalated;
}

Json alert_json(const AlertDetail& detail) {
  const bool over = resolved(detail);
  const auto labels = labels_of(detail);
  Json json;
  json["status"] = over ? "resolved" : "firing";
  json["labels"] = object_of(labels);
  json["annotations"] = annotations_of(detail);
  json["startsAt"] = format_time(detail.change.opened_us);
  json["endsAt"] = over ? format_time(detail.change.transition.at_us) : std::string(kZeroTime);
  json["generatorURL"] = detail.page_url;
  json["fingerprint"] = fingerprint_of(labels);
  return json;
}

}  // namespace

std::string summary_of(const AlertDetail& detail) {
  if (!detail.summary.empty()) return detail.summary;
  const std::string what = detail.metric.empty() ? detail.change.key : detail.metric;
  const std::string who = detail.entity.empty() ? what : what + " of " + detail.entity;
  if (resolved(detail))
    return detail.change.transition.reason == ResolveReason::kNoData
               ? who + " is no longer reported"
               : who + " is back to usual";
  std::string how = " is unusual";
  if (detail.value > detail.usual_high) how = " is above usual";
  if (detail.value < detail.usual_low) how = " is below usual";
  std::string text = who + how + ": " + with_unit(detail.value, detail.unit);
  if (std::isfinite(detail.usual_low) && std::isfinite(detail.usual_high))
    text += fmt::format(", usual {} to {}", short_number(detail.usual_low),
                        with_unit(detail.usual_high, detail.unit));
  return text;
}

std::vector<std::pair<std::string, std::string>> labels_of(const AlertDetail& detail) {
  std::vector<std::pair<std::string, std::string>> labels = detail.labels;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) labels.emplace_back(name, value);
  };
  add("alertname", detail.scope.decision);
  add("app", detail.scope.app);
  add("key", detail.change.key);
  add("metric", detail.metric);
  add("entity", detail.entity);
  add("model", detail.model);
  add("severity", std::string(api_name_of(detail.change.transition.severity)));
  // Ours win over the application's of the same name: they come last and the last one is kept.
  std::stable_sort(labels.begin(), labels.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::pair<std::string, std::string>> unique;
  for (auto& label : labels) {
    if (!unique.empty() && unique.back().first == label.first)
      unique.back() = std::move(label);
    else
      unique.push_back(std::move(label));
  }
  return unique;
}

std::string fingerprint_of(const std::vector<std::pair<std::string, std::string>>& labels) {
  uint64_t hash = 14695981039346656037ull;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 1099511628211ull; };
  for (const auto& [name, value] : labels) {
    for (const char c : name) add(static_cast<unsigned char>(c));
    add(255);
    for (const char c : value) add(static_cast<unsigned char>(c));
    add(255);
  }
  return fmt::format("{:016x}", hash);
}

std::string api_json(const AlertDetail& detail) { return written(detail_json(detail)); }

store::AlertBody journal_body(const AlertDetail& detail) {
  const AlertChange& change = detail.change;
  store::AlertBody body;
  body.kind = name_of(change.transition.kind);
  body.id = change.alert_id;
  body.decision = detail.scope.decision;
  body.state = resolved(detail) ? "resolved" : "open";
  body.severity = api_name_of(change.transition.severity);
  body.title = summary_of(detail);
  body.series_id = detail.series_id;
  body.metric = detail.metric;
  body.entity = detail.entity;
  body.unit = detail.unit;
  body.began_us = change.began_us;
  body.opened_us = change.opened_us;
  if (resolved(detail)) {
    const int64_t at_us = change.transition.at_us;
    body.resolved_us = at_us;
    body.recovered_after_s = static_cast<double>(at_us - change.opened_us) * 1e-6;
    body.reason = name_of(change.transition.reason);
  }
  body.value = detail.value;
  body.score = detail.score;
  body.score_max = change.score_max;
  body.threshold = detail.threshold;
  body.usual_low = detail.usual_low;
  body.usual_mid = detail.usual_mid;
  body.usual_high = detail.usual_high;
  body.model = detail.model;
  body.version = detail.version;
  body.members = detail.members;
  body.features = detail.features;
  body.lead_id = change.lead_id;
  body.flapping = change.flapping;
  body.partition = change.partition.value();
  body.key = change.key;
  body.notified = change.notify;
  return body;
}

std::string notification_json(const AlertDetail& detail, std::string_view receiver) {
  const Json alert = alert_json(detail);
  Json json;
  json["version"] = "4";
  json["groupKey"] = detail.scope.app + "/" + detail.scope.decision + "/" + detail.change.lead_id;
  json["truncatedAlerts"] = 0;
  json["status"] = alert["status"];
  json["receiver"] = receiver;
  json["groupLabels"] = {{"alertname", detail.scope.decision}};
  json["commonLabels"] = alert["labels"];
  json["commonAnnotations"] = alert["annotations"];
  json["externalURL"] = detail.page_url;
  json["alerts"] = Json::array({alert});
  json["alert"] = detail.scope.decision;
  json["state"] = alert["status"];
  json["starts_at_us"] = detail.change.opened_us;
  json["ends_at_us"] = resolved(detail) ? Json(detail.change.transition.at_us) : Json(nullptr);
  json["labels"] = alert["labels"];
  json["annotations"] = alert["annotations"];
  json["url"] = detail.page_url;
  if (escalated(detail)) json["replaces"] = object_of(labels_of(replaced(detail)));
  json["detail"] = detail_json(detail);
  return written(json);
}

std::string alertmanager_json(const std::vector<AlertDetail>& details, int64_t ends_us) {
  Json json = Json::array();
  const auto add = [&](const AlertDetail& detail) {
    Json alert = alert_json(detail);
    alert.erase("status");
    alert.erase("fingerprint");
    if (!resolved(detail)) alert["endsAt"] = format_time(ends_us);
    json.push_back(std::move(alert));
  };
  for (const AlertDetail& detail : details) {
    if (escalated(detail)) add(replaced(detail));
    add(detail);
  }
  return written(json);
}

}  // namespace qw::monitor
