#include "app/api/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/api/moment.h"
#include "app/api/usual.h"

namespace qw::app {
namespace {

const PlanHeal* heal_named(const Plan& plan, const std::string& name) {
  for (const PlanDecision& decision : plan.decisions)
    for (const PlanHeal& heal : decision.heals)
      if (heal.name == name) return &heal;
  return nullptr;
}

// An alert as its opening record says it, in the order of docs/reference/api.md.
Json shown(const store::AlertBody& body) {
  Json members = Json::array(), features = Json::array();
  for (const store::AlertMemberBody& one : body.members) {
    const std::string title = one.title.empty() ? member_title(one.name) : one.title;
    members.push_back({{"name", one.name},
                       {"title", text_or_null(title)},
                       {"contribution", number(one.contribution)}});
  }
  for (const store::AlertFeatureBody& one : body.features)
    features.push_back({{"name", one.name},
                        {"value", number(one.value)},
                        {"status", one.status},
                        {"aggregate", text_or_null(one.aggregate)},
                        {"window_us", or_null(one.window_us)},
                        {"usual_low", number(one.usual_low)},
                        {"usual_mid", number(one.usual_mid)},
                        {"usual_high", number(one.usual_high)}});
  return {{"id", body.id},
          {"decision", body.decision},
          {"state", body.state},
          {"severity", body.severity},
          {"title", body.title},
          {"series_id", body.series_id},
          {"metric", body.metric},
          {"entity", body.entity},
          {"unit", body.unit},
          {"began_us", body.began_us},
          {"opened_us", body.opened_us},
          {"resolved_us", or_null(body.resolved_us)},
          {"recovered_after_s", or_null(body.recovered_after_s)},
          {"value", number(body.value)},
          {"score", number(body.score)},
          {"score_max", number(body.score_max)},
          {"threshold", number(body.threshold)},
          {"usual_low", number(body.usual_low)},
          {"usual_mid", number(body.usual_mid)},
          {"usual_high", number(body.usual_high)},
          {"model", body.model},
          {"version", body.version},
          {"members", std::move(members)},
          {"features", std::move(features)}};
}

// How a webhook's delivery or a command ended.
void finish(Json& action, int64_t at_us, std::string_view state, const std::string& message) {
  action["ended_us"] = at_us;
  action["state"] = state == "delivered" || state == "skipped" ? state : "failed";
  if (!message.empty()) action["message"] = message;
}

// What is said of a command that told nothing itself.
std::string trouble_of(const store::CommandEndBody& command) {
  if (command.well()) return {};
  const std::string how = command.exit_code && command.end == "exited"
                              ? fmt::format("exit code {}", *command.exit_code)
                              : command.end;
  return command.err.empty() ? how : how + ": " + command.err.substr(0, 200);
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

template <class Body>
std::optional<Story::Change> Story::take_if(Seq seq, const schema::JournalRecord& record) {
  if (!store::is_a<Body>(record)) return std::nullopt;
  const auto body = store::body_of<Body>(record);
  return body.ok() ? take(seq, record.at_us, *body) : Change();
}

Story::Change Story::take(Seq seq, const schema::JournalRecord& record) {
  auto change = take_if<store::AlertBody>(seq, record);
  if (!change) change = take_if<store::HealStepBody>(seq, record);
  if (!change) change = take_if<store::ActionFinishedBody>(seq, record);
  if (!change) change = take_if<store::DeliveryBody>(seq, record);
  if (!change) change = take_if<store::IncidentBody>(seq, record);
  if (!change) change = take_if<store::UsualBody>(seq, record);
  if (!change) change = take_if<store::VerdictBody>(seq, record);
  return change.value_or(Change());
}

Story::Change Story::take(Seq, int64_t at_us, const store::VerdictBody& body) {
  const auto found = by_id_.find(body.alert_id);
  if (found == by_id_.end()) return {};
  alerts_[found->second].body["verdict"] = {
      {"verdict", body.verdict()}, {"note", body.note}, {"at_us", at_us}};
  return {found->first, false};
}

Story::Change Story::take(Seq, int64_t, const store::UsualBody& body) {
  const auto found = by_id_.find(body.alert_id);
  if (found == by_id_.end()) return {};
  Json& alert = alerts_[found->second].body;
  add_usual(alert, body.usual, "value");
  for (Json& feature : alert["features"]) add_usual(feature, body.usual, text_in(feature, "name"));
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

ShownAlert& Story::open(Seq seq, int64_t at_us, const store::AlertBody& body) {
  ShownAlert& alert = alerts_[seq.value()];
  alert.seq = seq.value();
  alert.id = body.id;
  alert.series_id = body.series_id;
  alert.body = shown(body);
  if (const auto decision = names_.decision_named(body.decision)) {
    const SeriesName name = names_.series(*decision, body.key);
    alert.body["metric"] = name.metric;
    alert.body["entity"] = name.entity;
    if (body.unit.empty()) alert.body["unit"] = name.unit;
    name_features(alert.body, *decision);
  }
  alert.body["actions"] = Json::array();
  alert.body["incident_id"] = text_or_null(running_incident(at_us));
  alert.body["verdict"] = nullptr;
  by_id_[alert.id] = alert.seq;
  forget_oldest();
  return alerts_.at(seq.value());
}

Story::Change Story::take(Seq seq, int64_t at_us, const store::AlertBody& body) {
  const auto found = by_id_.find(body.id);
  if (body.id.empty() || (body.kind == store::AlertBody::kFired && found != by_id_.end()))
    return {};
  ShownAlert& alert = found == by_id_.end() ? open(seq, at_us, body) : alerts_[found->second];
  const double most = body.score_max;
  if (most > double_in(alert.body, "score_max") || alert.body["score_max"].is_null())
    alert.body["score_max"] = number(most);
  if (body.kind == store::AlertBody::kEscalated) alert.body["severity"] = body.severity;
  if (body.kind == store::AlertBody::kResolved) {
    alert.open = false;
    alert.body["state"] = body.state;
    alert.body["resolved_us"] = or_null(body.resolved_us);
    alert.body["recovered_after_s"] = or_null(body.recovered_after_s);
  }
  return {body.id, false};
}

Json Story::new_action(int64_t at_us, const store::HealStepBody& body) const {
  const PlanHeal* const planned = heal_named(names_.plan(), body.heal);
  const bool command =
      planned != nullptr && std::holds_alternative<CommandAction>(planned->file->action);
  const bool started = body.kind == store::HealStepBody::kStarted;
  const bool dry = body.kind == store::HealStepBody::kDryRun;
  const bool unknown = body.kind == store::HealStepBody::kUnknown;
  Json within = nullptr;
  if (planned != nullptr && started)
    within = static_cast<double>(planned->file->recover_within_us) * 1e-6;
  return {{"id", body.action_id},
          {"name", body.heal},
          {"kind", command ? "command" : "webhook"},
          {"mode", dry ? "dry_run" : "live"},
          {"state", started   ? "started"
                    : unknown ? "unknown"
                              : "skipped"},
          {"attempts", started ? 1 : 0},
          {"started_us", started ? Json(at_us) : Json(nullptr)},
          {"ended_us", nullptr},
          {"http_status", nullptr},
          {"exit_code", nullptr},
          {"message", text_or_null(body.message)},
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

Story::Change Story::take(Seq, int64_t at_us, const store::HealStepBody& body) {
  using Body = store::HealStepBody;
  Json* const known = action(body.action_id);
  const std::string alert_id = known != nullptr ? of_action_[body.action_id] : body.alert_id;
  const auto alert = by_id_.find(alert_id);
  if (alert == by_id_.end()) return {};
  if (body.kind == Body::kOutcome) {
    if (known == nullptr) return {};
    const std::string outcome = body.outcome.value_or("");
    (*known)["outcome"] = outcome == "no_data" ? Json(nullptr) : Json(outcome);
    (*known)["outcome_us"] = body.at_us;
  } else if (known != nullptr && body.kind == Body::kUnknown) {
    (*known)["state"] = "unknown";
  } else if (known != nullptr && body.kind == Body::kSkipped) {  // it waited and never began
    (*known)["state"] = "skipped";
    (*known)["attempts"] = 0;
    (*known)["outcome"] = (*known)["started_us"] = nullptr;
    (*known)["message"] = text_or_null(body.message);
  } else if (known == nullptr && !body.action_id.empty()) {
    alerts_[alert->second].body["actions"].push_back(new_action(at_us, body));
    of_action_[body.action_id] = alert_id;
  }
  return {alert_id, false};
}

Story::Change Story::take(Seq, int64_t at_us, const store::ActionFinishedBody& body) {
  Json* const known = action(body.action_id);
  if (known == nullptr) return {};
  if (body.command) {
    const bool exited = body.command->end == "exited";
    if (exited) (*known)["exit_code"] = body.command->exit_code.value_or(-1);
    finish(*known, at_us, body.command->well() ? "delivered" : "failed",
           body.message.empty() ? trouble_of(*body.command) : body.message);
  } else {
    finish(*known, at_us, body.state, body.message);
  }
  if (body.attempts.value_or(0) > 0) (*known)["attempts"] = *body.attempts;
  if (body.http_status) (*known)["http_status"] = *body.http_status;
  return {of_action_[body.action_id], false};
}

Story::Change Story::take(Seq, int64_t at_us, const store::DeliveryBody& body) {
  Json* const known = action(body.action_id);
  if (known == nullptr) return {};
  finish(*known, at_us, "failed", body.reason);
  return {of_action_[body.action_id], false};
}

Story::Change Story::take(Seq, int64_t, const store::IncidentBody& body) {
  if (body.id.empty()) return {};
  const auto known =
      std::find_if(incidents_.begin(), incidents_.end(),
                   [&](const ShownIncident& incident) { return incident.id == body.id; });
  ShownIncident& incident = known == incidents_.end() ? incidents_.emplace_back() : *known;
  incident = {body.id, body.load, body.state, body.started_us, body.ends_us};
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
