#include "streams/sinks/alertmanager/sink.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/net/http.h"
#include "base/time_text.h"
#include "streams/sinks/webhook/sink.h"

namespace qw::streams {
namespace {

using nlohmann::json;

std::string write(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : write(value);
}

json texts(const json& object) {
  json out = json::object();
  if (!object.is_object()) return out;
  for (const auto& [name, value] : object.items())
    if (!value.is_null()) out[name] = text_of(value);
  return out;
}

class AlertmanagerSink final : public Sink {
 public:
  AlertmanagerSink(AlertmanagerSinkConfig config, const Clock& clock)
      : config_(std::move(config)), clock_(clock) {}

  Result<Start> open(std::string_view saved) override {
    if (saved.empty()) return Start{};
    const json alerts = json::parse(saved, nullptr, false);
    if (!alerts.is_object())
      return Error{ErrorCode::kCorrupt, "the list of firing alerts is damaged", "alertmanager", ""};
    firing_.clear();
    for (const auto& [labels, alert] : alerts.items()) firing_[labels] = alert;
    last_sent_ns_.reset();
    return Start{};
  }

  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    const json body = json::parse(rows.front().row.json, nullptr, false);
    if (!body.is_object() || !body.contains("alert") || !body.contains("state"))
      return {0, Refused{"the row is no alert: it needs \"alert\" and \"state\""}};
    const bool resolved = body["state"] == "resolved";
    json alert = alert_of(body);
    const std::string identity = write(alert["labels"]);
    const int64_t now_us = clock_.wall_us();
    int64_t ends_us = now_us + (resolved ? 0 : config_.ends_after_ms * 1000);
    if (resolved && body.contains("ends_at_us") && body["ends_at_us"].is_number_integer())
      ends_us = body["ends_at_us"].get<int64_t>();
    json sent = alert;
    sent["endsAt"] = format_time(ends_us);
    json all = json::array({sent});
    // An alert of a higher severity has other labels: to Alertmanager the one before it is another
    // alert, which nobody would ever end.
    const std::string before = replaced_by(body, now_us, all);
    Delivery next = post(all);
    if (!std::holds_alternative<Delivered>(next)) return {0, std::move(next)};
    if (!before.empty()) firing_.erase(before);
    if (resolved)
      firing_.erase(identity);
    else
      firing_[identity] = std::move(alert);
    return {1, Delivered{}};
  }

  std::optional<std::string> state() const override {
    json out = json::object();
    for (const auto& [labels, alert] : firing_) out[labels] = alert;
    return write(out);
  }

  Result<void> tick(int64_t wall_us) override {
    // By the clock that nobody sets: Alertmanager ends what it does not hear of again.
    const int64_t now_ns = clock_.monotonic_ns();
    const bool early = last_sent_ns_ && now_ns - *last_sent_ns_ < config_.resend_ms * 1'000'000;
    if (firing_.empty() || early) return {};
    json alerts = json::array();
    for (const auto& [labels, alert] : firing_) {
      alerts.push_back(alert);
      alerts.back()["endsAt"] = format_time(wall_us + config_.ends_after_ms * 1000);
    }
    const Delivery sent = post(alerts);
    if (const auto* retry = std::get_if<Retry>(&sent))
      return Error{ErrorCode::kUnavailable, retry->reason, "alertmanager", ""};
    last_sent_ns_ = now_ns;
    if (const auto* refused = std::get_if<Refused>(&sent))
      return Error{ErrorCode::kBadInput, refused->reason, "alertmanager", ""};
    return {};
  }

  void cancel() override { stop_.request_stop(); }

 private:
  static json alert_of(const json& body) {
    json alert = json::object();
    for (const char* part : {"labels", "annotations"})
      alert[part] = texts(body.contains(part) ? body[part] : json::object());
    alert["labels"]["alertname"] = text_of(body["alert"]);
    if (body.contains("starts_at_us") && body["starts_at_us"].is_number_integer())
      alert["startsAt"] = format_time(body["starts_at_us"].get<int64_t>());
    if (body.contains("url") && body["url"].is_string()) alert["generatorURL"] = body["url"];
    return alert;
  }

  // Adds the alert that this one takes the place of, ended now. Returns its identity, or "".
  static std::string replaced_by(const json& body, int64_t now_us, json& all) {
    if (!body.contains("replaces") || !body["replaces"].is_object()) return {};
    json before = alert_of(body);
    before["labels"] = texts(body["replaces"]);
    before["labels"]["alertname"] = text_of(body["alert"]);
    before["endsAt"] = format_time(now_us);
    std::string identity = write(before["labels"]);
    if (before["labels"] == all[0]["labels"]) return {};
    all.push_back(std::move(before));
    return identity;
  }

  Delivery post(const json& alerts) const {
    net::HttpClientOptions options;
    options.timeout_ms = config_.timeout_ms;
    options.stop = stop_.get_token();
    const auto answer = net::send_http("POST", config_.url + "/api/v2/alerts", write(alerts),
                                       {{"Content-Type", "application/json"}}, options);
    return judge_answer(answer, clock_.wall_us());
  }

  AlertmanagerSinkConfig config_;
  const Clock& clock_;
  std::stop_source stop_;
  std::map<std::string, json> firing_;   // by labels
  std::optional<int64_t> last_sent_ns_;  // of all that fire, since the start
};

}  // namespace

Result<std::unique_ptr<Sink>> make_alertmanager_sink(const AlertmanagerSinkConfig& config,
                                                     const Clock& clock) {
  AlertmanagerSinkConfig checked = config;
  while (checked.url.ends_with('/')) checked.url.pop_back();
  if (!net::parse_url(checked.url).ok())
    return Error{ErrorCode::kBadInput, "the url of Alertmanager cannot be read", "alertmanager",
                 "write http://host:9093"};
  if (config.resend_ms < 1000 || config.ends_after_ms < 2 * config.resend_ms)
    return Error{ErrorCode::kBadInput, "an alert would end before it is sent again", "alertmanager",
                 "resend: 1m suits Alertmanager's own resolve_timeout of 5"};
  return std::unique_ptr<Sink>(std::make_unique<AlertmanagerSink>(checked, clock));
}

}  // namespace qw::streams
