// Models, decisions, healing, monitors and training.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/config/internal/parts.h"

namespace qw::app::internal {
namespace {

std::variant<bool, double, std::string> scalar_of(const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  const Result<double> number = schema::parse_number(text);
  if (number.ok()) return *number;
  return text;
}

// Checked by shape: registry:NAME@ALIAS.
VersionRef version_of(const Name& written) {
  const size_t at = written.text.find('@');
  if (!written.text.starts_with("registry:") || at == std::string::npos)
    return {"", "", written.place};
  return {written.text.substr(9, at - 9), written.text.substr(at + 1), written.place};
}

// A message about an address never holds it: it may come from a variable.
void check_url(const schema::Secret& url, Place place, ReadContext& context,
               bool own_server = false) {
  const std::string& text = url.reveal();
  if (text.empty() || !context.options.resolve) return;
  if (own_server && text.starts_with('/')) return;
  const bool http = text.starts_with("http://") && text.size() > 7;
  const bool https = text.starts_with("https://") && text.size() > 8;
  if (!http && !https)
    context.problems.error("bad_value", place, fmt::format("'{}' is not an address", url),
                           "write http://HOST:PORT/PATH or https://...");
}

// `own_server`: a path alone is this program's own.
Webhook read_webhook(const Cursor& at, bool own_server = false) {
  Webhook webhook;
  webhook.url = at.secret("url");
  webhook.secret = at.secret("secret");
  webhook.timeout_us = at.duration_us("timeout");
  webhook.headers = at.secrets("headers");
  check_url(webhook.url, at.place("url"), at.context(), own_server);
  return webhook;
}

void read_sink_kind(const Cursor& at, Sink& sink) {
  if (at.has("kafka")) {
    const Cursor kafka = at.group("kafka");
    sink.kind = KafkaSink{kafka.secret("brokers"), kafka.secret("topic"), read_kafka_client(kafka)};
  } else if (at.has("webhook")) {
    sink.kind = WebhookSink{read_webhook(at.group("webhook"))};
  } else if (at.has("alertmanager")) {
    const Cursor alertmanager = at.group("alertmanager");
    sink.kind = AlertmanagerSink{alertmanager.secret("url"), alertmanager.duration_us("timeout"),
                                 alertmanager.duration_us("resend")};
    check_url(alertmanager.secret("url"), alertmanager.place("url"), at.context());
  } else {
    sink.kind = LogSink{at.group("log").text("path")};
  }
}

Sink read_sink(const Cursor& at, const Decision& decision) {
  Sink sink;
  read_sink_kind(at, sink);
  sink.name = at.name("name");
  sink.place = at.place();
  // What waits in the outbox is kept under this name, so it must not depend on the order of sinks.
  if (sink.name.empty())
    sink.name = {fmt::format("{}.{}", decision.name.text, sink.kind_name()), sink.place};
  sink.send = decision.alert.has_value() ? Send::kAlerts : Send::kDecisions;
  if (at.has("send")) sink.send = at.choice<Send>("send");
  sink.when = at.expression("when");
  sink.attempts = at.integer("attempts");
  sink.retry_for_us = at.duration_us("retry_for");
  sink.on_full = at.choice<OnFull>("on_full");
  Problems& problems = at.context().problems;
  if (sink.send == Send::kAlerts && !decision.alert.has_value())
    problems.error("misplaced_key", at.key_place("send"),
                   "send: alerts needs 'alert' in the decision",
                   "add alert: { severity: ... }, or send decisions");
  if (at.has("alertmanager") && sink.send == Send::kDecisions)
    problems.error("misplaced_key", at.key_place(at.has("send") ? "send" : "alertmanager"),
                   "Alertmanager takes alerts, not decisions",
                   "add alert: { severity: ... } to the decision, and send: alerts");
  return sink;
}

Alert read_alert(const Cursor& at) {
  Alert alert;
  alert.severity = at.expression("severity");
  alert.for_us = at.duration_us("for");
  alert.cooldown_us = at.duration_us("cooldown");
  alert.resolve_after_us = at.duration_us("resolve_after");
  if (at.has("stale_after")) alert.stale_after_us = at.duration_us("stale_after");
  alert.flap_fires = at.integer("flap_fires");
  alert.flap_window_us = at.duration_us("flap_window");
  alert.flap_resolve_after_us = at.duration_us("flap_resolve_after");
  alert.keys_max = at.integer("keys_max");
  alert.summary = at.expression("summary");
  alert.place = at.place();
  return alert;
}

Heal read_heal(const Cursor& at) {
  Heal heal;
  heal.name = at.name("name");
  heal.place = at.place();
  if (at.has("command")) {
    const Cursor command = at.group("command");
    heal.action = CommandAction{command.name("run"), command.duration_us("timeout")};
  } else {
    heal.action = read_webhook(at.group("webhook"), /*own_server=*/true);
  }
  heal.when = at.expression("when");
  heal.recover_within_us = at.duration_us("recover_within");
  std::tie(heal.limit_count, heal.limit_per_us) = at.rate("limit");
  heal.dry_run = at.flag("dry_run");
  heal.stop_after = at.integer("stop_after");
  return heal;
}

Gate gate_of(const Name& metric, const YamlNode& node) {
  Gate gate;
  gate.metric = metric;
  gate.place = node.place;
  std::string rest = node.text;
  std::erase(rest, ' ');
  gate.strict = !rest.starts_with(">=");
  rest = rest.substr(std::min<size_t>(rest.size(), gate.strict ? 1 : 2));
  gate.against_champion = rest.starts_with("champion");
  if (gate.against_champion) rest = rest.substr(8);
  if (rest.starts_with('+')) rest = rest.substr(1);
  gate.offset = schema::parse_number(rest).value_or(0);
  return gate;
}

}  // namespace

Model read_model(const Cursor& at) {
  Model model;
  model.name = at.name("name");
  model.detector = at.name("detector");
  for (const auto& [name, node] : at.map("settings"))
    if (node->kind == YamlNode::Kind::kScalar)
      model.settings.push_back({name, scalar_of(node->text), node->place});
  const Cursor versions = at.group("versions");
  const Name champion = versions.name("champion");
  if (!champion.empty()) model.champion = version_of(champion);
  model.rules = at.expressions("rules");
  model.key = at.names("key");
  model.inputs = at.names("inputs");
  model.place = at.place();
  Problems& problems = at.context().problems;
  const bool rules = at.has("rules");
  if (!rules && !at.has("detector") && !at.has("versions"))
    problems.error("missing_key", at.place(),
                   "this entry of 'models' needs one of detector, versions, rules");
  if (rules && (at.has("detector") || at.has("versions")))
    problems.error("misplaced_key", at.key_place("rules"),
                   "a model has either rules or a detector with its versions, not both",
                   "make two models");
  const auto score = [](const NamedExpression& rule) { return rule.name.text == "score"; };
  if (rules && std::none_of(model.rules.begin(), model.rules.end(), score))
    problems.error("missing_key", at.place("rules"), "the rules do not say what 'score' is",
                   "add score: EXPRESSION");
  if (!rules)
    for (const char* key : {"key", "inputs"})
      if (!at.has(key))
        problems.error(
            "missing_key", at.place(), fmt::format("this entry of 'models' needs '{}'", key),
            std::string(key) == "key" ? "name the column whose values are series of their own"
                                      : "name what the model reads, such as inputs: [value]");
  return model;
}

Decision read_decision(const Cursor& at) {
  Decision decision;
  decision.name = at.name("name");
  decision.on = at.name("on");
  decision.model = at.name("model");
  decision.when = at.expression("when");
  decision.output = at.expressions("output");
  decision.place = at.place();
  const Cursor alert = at.group("alert");
  if (alert.given()) decision.alert = read_alert(alert);
  decision.sinks =
      at.list("sinks", [&decision](const Cursor& one) { return read_sink(one, decision); });
  decision.heal = at.list("heal", read_heal);
  if (at.has("heal") && !decision.alert.has_value())
    at.context().problems.error("misplaced_key", at.key_place("heal"),
                                "'heal' needs 'alert': it acts when an alert opens",
                                "add alert: { severity: ... } to the decision");
  return decision;
}

Healing read_healing(const Cursor& at) {
  Healing healing;
  healing.enabled = at.flag("enabled");
  for (const auto& [name, node] : at.map("commands")) {
    Command command{name, {}};
    for (const YamlPtr& item : node->items) command.arguments.push_back(item->text);
    if (command.arguments.empty() || !command.arguments[0].starts_with('/'))
      at.context().problems.error(
          "bad_value", node->place,
          fmt::format("the command '{}' does not begin with the absolute path of a program",
                      name.text),
          "write [/usr/bin/PROGRAM, ARGUMENT, ...]; no search path and no shell is used");
    healing.commands.push_back(std::move(command));
  }
  return healing;
}

Monitor read_monitor(const Cursor& at) {
  Monitor monitor;
  monitor.model = at.name("model");
  monitor.drift = at.choice<DriftTest>("drift");
  monitor.reference = at.choice<DriftReference>("reference");
  monitor.every_us = at.duration_us("every");
  monitor.threshold = at.number("threshold");
  monitor.alert = at.choice<Severity>("alert");
  monitor.sinks = at.names("sinks");
  monitor.retrain = at.name("retrain");
  monitor.place = at.place();
  return monitor;
}

Training read_training(const Cursor& at) {
  Training training;
  training.name = at.name("name");
  training.model = at.name("model");
  training.trainer = at.text("trainer");
  const Cursor labels = at.group("labels");
  const std::vector<std::string> from = labels.texts("from");
  training.label_verdicts = std::count(from.begin(), from.end(), "verdicts") > 0;
  training.label_incidents = std::count(from.begin(), from.end(), "incidents") > 0;
  training.label_nab = labels.text("nab");
  training.labels_at_least = labels.integer("at_least");
  if (labels.given() && from.empty() && training.label_nab.empty())
    at.context().problems.error("missing_key", labels.place(), "'labels' names no source of truth",
                                "add from: [verdicts, incidents], nab: FOLDER, or both");
  const Cursor search = at.group("search");
  training.search_trials = search.integer("trials");
  training.search_seconds = search.integer("seconds");
  training.held_out = at.share("held_out");
  for (const auto& [metric, node] : at.map("gate")) training.gate.push_back(gate_of(metric, *node));
  training.then = at.choice<Then>("then");
  training.place = at.place();
  return training;
}

}  // namespace qw::app::internal
