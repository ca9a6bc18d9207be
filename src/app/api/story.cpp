#include "app/api/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/api/moment.h"
#include "app/api/usual.h"

namespace qw::app {
namespace {

// The fields of an alert that its opening record has, in the order of docs/reference/api.md.
const char* const kOpening[] = {
    "id",      "decision",  "state",     "severity",  "title",       "series_id",         "metric",
    "entity",  "unit",      "began_us",  "opened_us", "resolved_us", "recovered_after_s", "value",
    "score",   "score_max", "threshold", "usual_low", "usual_mid",   "usual_high",        "model",
    "version", "members",   "features"};

const PlanHeal* heal_named(const Plan& plan, const std::string& name) {
  for (const PlanDecision& decision : plan.decisions)
    for (const PlanHeal& heal : decision.heals)
      if (heal.name == name) return &heal;
  return nullptr;
}

// How a webhook's delivery or a command ended.
void finish(Json& action, const schema::JournalRecord& record, const Json& body) {
  action["ended_us"] = record.at_us;
  std::string message = text_in(body, "message", text_in(body, "reason"));
  std::string state = text_in(body, "state");
  if (body.contains("end")) {  // of a command
    const int64_t code = integer_in(body, "exit_code", -1);
    const bool exited = text_in(body, "end") == "exited";
    state = exited && code == 0 ? "delivered" : "failed";
    if (exited) action["exit_code"] = code;
    if (message.empty() && state == "failed") {
      message = exited ? fmt::format("exit code {}", code) : text_in(body, "end");
      if (const std::string said = text_in(body, "stderr"); !said.empty())
        message += ": " + said.substr(0, 200);
    }
  }
  action["state"] = state == "delivered" || state == "skipped" ? state : "failed";
  if (const int64_t attempts = integer_in(body, "attempts"); attempts > 0)
    action["attempts"] = attempts;
  if (body.contains("http_status") && body["http_status"].is_number())
    action["http_status"] = body["http_status"];
  if (!message.empty()) action["message"] = message;
}

}  // namespace

std::string text_in(const Json& body, const char* name, const std::string& fallback) {
  const auto found = body.find(name);
  return found != body.end() && found->is_string() ? found->get<std::string>() : fallback;
}

int64_t integer_in(const Json& body, const char* name, int64_t fallback) {
  const auto found = body.find(name);
  return found != body.end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
}

double double_in(const Json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

Story::Change Story::take(Seq seq, const schema::JournalRecord& record) {
  const Json body = Json::parse(record.json, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return {};
  if (record.kind.starts_with("alert_")) return take_alert(seq, record, body);
  if (record.kind.starts_with("action_") || record.kind.starts_with("delivery_"))
    return take_action(record, body);
  if (record.kind.starts_with("incident")) return take_incident(record, body);
  if (record.kind == kUsualKind) return take_usual(body);
  if (record.kind != "verdict") return {};
  const auto found = by_id_.find(text_in(body, "alert_id"));
  if (found == by_id_.end()) return {};
  alerts_[found->second].body["verdict"] = {{"verdict", text_in(body, "verdict")},
                                            {"note", text_in(body, "note")},
                                            {"at_us", record.at_us}};
  return {found->first, false};
}

Story::Change Story::take_usual(const Json& body) {
  const auto found = by_id_.find(text_in(body, "alert_id"));
  if (found == by_id_.end()) return {};
  Json& alert = alerts_[found->second].body;
  const UsualSpans usual = usual_from(body.value("usual", Json()));
  add_usual(alert, usual, "value");
  for (Json& feature : alert["features"]) add_usual(feature, usual, text_in(feature, "name"));
  return {found->first, false};
}

// The names of features as the API gives them, with what they are.
void Story::name_features(Json& body, size_t decision) const {
  const ShownDecision& shown = names_.decision(decision);
  for (Json& feature : body["features"]) {
    std::string name = text_in(feature, "name");
    if (name.starts_with(shown.view + ".")) name = name.substr(shown.view.size() + 1);
    feature["name"] = name;
    for (const FeatureName& known : shown.features) {
      if (known.name != name) continue;
      feature["aggregate"] = known.aggregate;
      feature["window_us"] = known.window_us ? Json(*known.window_us) : Json(nullptr);
    }
    if (!feature["aggregate"].is_string()) feature["aggregate"] = "";
    if (feature["value"].is_null() && feature["status"] == "ok") feature["status"] = "empty";
  }
}

ShownAlert& Story::open(Seq seq, const schema::JournalRecord& record, const Json& body) {
  ShownAlert& alert = alerts_[seq.value()];
  alert.seq = seq.value();
  alert.id = text_in(body, "id");
  alert.series_id = text_in(body, "series_id");
  for (const char* const name : kOpening) alert.body[name] = body.value(name, Json(nullptr));
  for (const char* const list : {"members", "features"})
    if (!alert.body[list].is_array()) alert.body[list] = Json::array();
  for (Json& member : alert.body["members"])
    if (member["title"].is_null())
      member["title"] = text_or_null(member_title(text_in(member, "name")));
  if (const auto decision = names_.decision_named(text_in(body, "decision"))) {
    const SeriesName name = names_.series(*decision, text_in(body, "key"));
    alert.body["metric"] = name.metric;
    alert.body["entity"] = name.entity;
    if (text_in(body, "unit").empty()) alert.body["unit"] = name.unit;
    name_features(alert.body, *decision);
  }
  alert.body["actions"] = Json::array();
  alert.body["incident_id"] = text_or_null(running_incident(record.at_us));
  alert.body["verdict"] = nullptr;
  by_id_[alert.id] = alert.seq;
  forget_oldest();
  return alerts_.at(seq.value());
}

Story::Change Story::take_alert(Seq seq, const schema::JournalRecord& record, const Json& body) {
  const std::string id = text_in(body, "id");
  const auto found = by_id_.find(id);
  if (id.empty() || (record.kind == "alert_fired" && found != by_id_.end())) return {};
  ShownAlert& alert = found == by_id_.end() ? open(seq, record, body) : alerts_[found->second];
  const double most = double_in(body, "score_max");
  if (most > double_in(alert.body, "score_max") || alert.body["score_max"].is_null())
    alert.body["score_max"] = number(most);
  if (record.kind == "alert_escalated") alert.body["severity"] = text_in(body, "severity");
  if (record.kind == "alert_resolved") {
    alert.open = false;
    for (const char* const name : {"state", "resolved_us", "recovered_after_s"})
      alert.body[name] = body.value(name, Json(nullptr));
  }
  return {id, false};
}

Json Story::new_action(const schema::JournalRecord& record, const Json& body) const {
  const std::string heal = text_in(body, "heal");
  const PlanHeal* const planned = heal_named(names_.plan(), heal);
  const bool command =
      planned != nullptr && std::holds_alternative<CommandAction>(planned->file->action);
  const bool started = record.kind == "action_started";
  const bool dry = record.kind == "action_dry_run";
  Json within = nullptr;
  if (planned != nullptr && started)
    within = static_cast<double>(planned->file->recover_within_us) * 1e-6;
  return {{"id", text_in(body, "action_id")},
          {"name", heal},
          {"kind", command ? "command" : "webhook"},
          {"mode", dry ? "dry_run" : "live"},
          {"state", started                           ? "started"
                    : record.kind == "action_unknown" ? "unknown"
                                                      : "skipped"},
          {"attempts", started ? 1 : 0},
          {"started_us", started ? Json(record.at_us) : Json(nullptr)},
          {"ended_us", nullptr},
          {"http_status", nullptr},
          {"exit_code", nullptr},
          {"message", text_or_null(text_in(body, "message"))},
          {"outcome", started ? Json("pending") : Json(nullptr)},
          {"outcome_us", nullptr},
          {"check_within_s", std::move(within)}};
}

Json* Story::action(const std::string& id) {
  const auto owner = of_action_.find(id);
  if (owner == of_action_.end()) return nullptr;
  for (Json& action : alerts_[by_id_.at(owner->second)].body["actions"])
    if (action["id"] == id) return &action;
  return nullptr;
}

Story::Change Story::take_action(const schema::JournalRecord& record, const Json& body) {
  const std::string id = text_in(body, "action_id");
  Json* const known = action(id);
  const std::string alert_id = known != nullptr ? of_action_[id] : text_in(body, "alert_id");
  const auto alert = by_id_.find(alert_id);
  if (alert == by_id_.end()) return {};
  if (record.kind == "action_finished" || record.kind.starts_with("delivery_")) {
    if (known == nullptr) return {};
    finish(*known, record, body);
  } else if (record.kind == "action_outcome") {
    if (known == nullptr) return {};
    const std::string outcome = text_in(body, "outcome");
    (*known)["outcome"] = outcome == "no_data" ? Json(nullptr) : Json(outcome);
    (*known)["outcome_us"] = integer_in(body, "at_us", record.at_us);
  } else if (known != nullptr && record.kind == "action_unknown") {
    (*known)["state"] = "unknown";
  } else if (known != nullptr && record.kind == "action_skipped") {  // it waited and never began
    (*known)["state"] = "skipped";
    (*known)["attempts"] = 0;
    (*known)["outcome"] = (*known)["started_us"] = nullptr;
    (*known)["message"] = text_or_null(text_in(body, "message"));
  } else if (known == nullptr && !id.empty()) {
    alerts_[alert->second].body["actions"].push_back(new_action(record, body));
    of_action_[id] = alert_id;
  }
  return {alert_id, false};
}

Story::Change Story::take_incident(const schema::JournalRecord& record, const Json& body) {
  const std::string id = text_in(body, "id");
  if (id.empty()) return {};
  const auto known = std::find_if(incidents_.begin(), incidents_.end(),
                                  [&](const ShownIncident& incident) { return incident.id == id; });
  ShownIncident& incident = known == incidents_.end() ? incidents_.emplace_back() : *known;
  incident.id = id;
  incident.kind = text_in(body, "incident", text_in(body, "kind", incident.kind));
  std::string state = text_in(body, "state", text_in(body, "phase", incident.state));
  incident.state = state == "started" ? "running" : std::move(state);
  incident.started_us = integer_in(body, "started_us", incident.started_us);
  incident.ends_us = integer_in(body, "ends_us", record.at_us);
  if (incidents_.size() > kMaxIncidents) incidents_.pop_front();
  return {"", true};
}

// The end of an incident that a crash cut off was never written: its time says when it was over.
std::string Story::running_incident(int64_t at_us) const {
  for (auto incident = incidents_.rbegin(); incident != incidents_.rend(); ++incident)
    if (incident->state == "running" && at_us >= incident->started_us && at_us <= incident->ends_us)
      return incident->id;
  return {};
}

void Story::forget_oldest() {
  if (alerts_.size() <= kMaxAlerts) return;
  auto oldest = std::find_if(alerts_.begin(), alerts_.end(),
                             [](const auto& entry) { return !entry.second.open; });
  if (oldest == alerts_.end()) oldest = alerts_.begin();
  for (const Json& action : oldest->second.body["actions"]) of_action_.erase(text_in(action, "id"));
  by_id_.erase(oldest->second.id);
  alerts_.erase(oldest);
}

bool Story::raise(const std::string& alert_id, double score) {
  const auto found = by_id_.find(alert_id);
  if (found == by_id_.end() || !alerts_[found->second].open) return false;
  Json& most = alerts_[found->second].body["score_max"];
  if (!std::isfinite(score) || (most.is_number() && most.get<double>() >= score)) return false;
  most = score;
  return true;
}

const ShownAlert* Story::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &alerts_.at(found->second);
}

const ShownAlert* Story::alert_of_action(const std::string& action_id) const {
  const auto found = of_action_.find(action_id);
  return found == of_action_.end() ? nullptr : find(found->second);
}

std::vector<const ShownAlert*> Story::alerts() const {
  std::vector<const ShownAlert*> list;
  for (auto alert = alerts_.rbegin(); alert != alerts_.rend(); ++alert)
    list.push_back(&alert->second);
  return list;
}

std::vector<const ShownAlert*> Story::open_alerts() const {
  auto list = alerts();
  std::erase_if(list, [](const ShownAlert* alert) { return !alert->open; });
  return list;
}

Json Story::counts() const {
  size_t open = 0, unjudged = 0;
  for (const auto& [seq, alert] : alerts_) {
    open += alert.open;
    unjudged += alert.body.at("verdict").is_null();
  }
  return {{"open", open}, {"unjudged", unjudged}};
}

std::vector<AlertSpan> Story::alert_spans(const std::string& series_id) const {
  std::vector<AlertSpan> spans;
  for (const ShownAlert* alert : alerts()) {
    if (alert->series_id != series_id) continue;
    AlertSpan span{alert->id, text_in(alert->body, "severity"),
                   integer_in(alert->body, "opened_us"), std::nullopt};
    if (!alert->open) span.resolved_us = integer_in(alert->body, "resolved_us");
    spans.push_back(std::move(span));
  }
  return spans;
}

std::vector<std::pair<int64_t, int64_t>> Story::alert_times(const std::string& series_id) const {
  std::vector<std::pair<int64_t, int64_t>> times;
  for (const ShownAlert* alert : alerts())
    if (alert->series_id == series_id)
      times.emplace_back(
          integer_in(alert->body, "began_us"),
          integer_in(alert->body, "resolved_us", std::numeric_limits<int64_t>::max()));
  return times;
}

std::vector<LabelSpan> Story::label_spans(const std::string& series_id) const {
  std::vector<LabelSpan> spans;
  for (const ShownIncident& incident : incidents_)
    spans.push_back({incident.started_us, incident.ends_us, "incident", incident.kind});
  for (const ShownAlert* alert : alerts()) {
    const Json& verdict = alert->body.at("verdict");
    if (alert->series_id != series_id || verdict.is_null()) continue;
    const int64_t opened_us = integer_in(alert->body, "opened_us");
    spans.push_back({integer_in(alert->body, "began_us", opened_us),
                     integer_in(alert->body, "resolved_us", opened_us), "verdict",
                     text_in(verdict, "verdict")});
  }
  return spans;
}

}  // namespace qw::app
