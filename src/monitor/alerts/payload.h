// What is said about an alert: for people, for webhooks, for Alertmanager, for the journal.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "monitor/alerts/book.h"
#include "store/commit/journal_kinds.h"

namespace qw::monitor {

// Everything about one alert, as of the change it is built for. A value. Numbers that may be absent
// are NaN here and null in JSON.
struct AlertDetail {
  AlertScope scope;
  AlertChange change;
  std::string series_id;
  std::string metric;
  std::string entity;
  std::string unit;
  std::string summary;  // empty: made from the rest
  double value = 0;
  double score = 0;
  double threshold = 0;
  double usual_low = 0;
  double usual_mid = 0;
  double usual_high = 0;
  std::string model;
  std::string version;
  std::vector<store::AlertMemberBody> members;  // they sum to the score
  std::vector<store::AlertFeatureBody> features;
  std::vector<std::pair<std::string, std::string>> labels;  // further ones, from the application
  std::string page_url;  // of the alert on the page; may be empty
};

// "cpu.busy_percent all is far above usual: 97.1 %, usual 4 to 22.5 %".
std::string summary_of(const AlertDetail& detail);

// Name and value, sorted by name: alertname (the decision), app, key, metric, entity, model,
// severity and the application's own. Receivers deduplicate by them.
std::vector<std::pair<std::string, std::string>> labels_of(const AlertDetail& detail);
// As Alertmanager computes it (64-bit FNV-1a of the sorted labels), 16 hex digits.
std::string fingerprint_of(const std::vector<std::pair<std::string, std::string>>& labels);

// One alert as the control API shows it (docs/reference/api.md), without actions and verdict.
std::string api_json(const AlertDetail& detail);
store::AlertBody journal_body(const AlertDetail& detail);
// One outbox row for every sink of alerts: the fields of Alertmanager's webhook, version 4
// (version, groupKey, status, alerts, ...), the row fields the alertmanager sink reads (alert,
// state, starts_at_us, ends_at_us, labels, annotations, url), and all there is to say in `detail`.
// An escalation also has `replaces`: the labels under which the alert was known before.
std::string notification_json(const AlertDetail& detail, std::string_view receiver);
// The body of POST /api/v2/alerts. `ends_us`: when a firing alert ends unless it is sent again. An
// escalation also ends the alert of the lower severity.
std::string alertmanager_json(const std::vector<AlertDetail>& details, int64_t ends_us);

}  // namespace qw::monitor
