#include "app/api/demo_answers.h"

#include <fmt/format.h>

namespace qw::app {
namespace {

Refusal disabled() {
  return {409, "demo_disabled", "this application starts no incidents",
          "set demo.incidents: true in its file"};
}

Json json_of(const IncidentStatus& status) { return store::json_of(journal_body(status)); }

// The seconds of the body; nothing when they are not a whole number an incident may take.
std::optional<int> seconds_of(const Json& body) {
  if (!body.contains("seconds")) return IncidentLoad().seconds;
  const Json& given = body["seconds"];
  if (!given.is_number_integer()) return std::nullopt;
  const auto seconds = given.get<int64_t>();
  if (seconds < kIncidentSecondsMin || seconds > kIncidentSecondsMax) return std::nullopt;
  return static_cast<int>(seconds);
}

}  // namespace

Json DemoAnswers::status() const {
  const auto last = incidents_ ? incidents_->status() : std::nullopt;
  const bool running = last && last->state == IncidentState::kRunning;
  Json kinds = Json::array();
  if (incidents_)
    for (const IncidentKind kind : {IncidentKind::kCpu, IncidentKind::kMemory, IncidentKind::kDisk})
      kinds.push_back(name_of(kind));
  return {{"enabled", incidents_ != nullptr},
          {"kinds", std::move(kinds)},
          {"seconds_max", kIncidentSecondsMax},
          {"incident_running", running},
          {"incident", running ? json_of(*last) : Json(nullptr)}};
}

void DemoAnswers::start(const net::HttpRequest& request,
                        const std::shared_ptr<net::HttpReply>& reply) const {
  const auto refuse = [&](const Refusal& refusal) {
    reply->send(refusal_answer(refusal, request));
  };
  if (!incidents_) return refuse(disabled());
  Body body = Body::parse(request);
  const std::string named = body.text("kind", 20).value_or("");
  if (body.fault) return refuse(*body.fault);
  const auto kind = parse_incident_kind(named);
  if (!kind.ok())
    return refuse({400, named.empty() ? "missing_field" : "bad_parameter", kind.error().message,
                   kind.error().how_to_mend});
  const auto seconds = seconds_of(body.json);
  if (!seconds)
    return refuse({400, "bad_parameter", "'seconds' is not a length an incident may have",
                   fmt::format("use a whole number from {} to {}", kIncidentSecondsMin,
                               kIncidentSecondsMax)});
  const auto begun = incidents_->start(*kind, *seconds);
  if (begun.ok()) return reply->send(json_answer(json_of(*begun), 202));
  const Error& error = begun.error();
  if (error.code == ErrorCode::kConflict)
    return refuse({409, "incident_running", error.message, error.how_to_mend});
  refuse({500, "internal", error.to_string(), "see the program's log"});
}

void DemoAnswers::stop(const net::HttpRequest& request,
                       const std::shared_ptr<net::HttpReply>& reply) const {
  if (!incidents_) return reply->send(refusal_answer(disabled(), request));
  const auto asked = incidents_->stop(IncidentState::kStopped, [reply](const IncidentStatus& over) {
    reply->send(json_answer(json_of(over)));
  });
  if (asked.ok()) return;
  if (asked.error().code == ErrorCode::kNotFound)
    return reply->send(refusal_answer({409, "no_incident", "no incident is running", ""}, request));
  reply->send(refusal_answer({503, "busy", asked.error().message, "try again"}, request));
}

}  // namespace qw::app
