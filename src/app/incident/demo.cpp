#include "app/incident/demo.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "streams/sinks/webhook/sink.h"

namespace qw::app {
namespace {

constexpr size_t kWaitingMax = 64;
constexpr int64_t kSignatureAgeMaxS = 300;

net::HttpResponse healed(const nlohmann::ordered_json& incident) {
  const nlohmann::ordered_json body = {{"incident", incident}};
  return {200, body.dump(), "application/json; charset=utf-8", {{"Cache-Control", "no-store"}}};
}

net::HttpResponse bad_signature() {
  const nlohmann::ordered_json body = {
      {"code", "bad_signature"},
      {"where", "POST /v1/demo/heal"},
      {"message", "the signature is missing, old or not made with this start's key"},
      {"how_to_mend", "only the application's own webhook can call this"}};
  return {403, body.dump(), "application/json; charset=utf-8", {{"Cache-Control", "no-store"}}};
}

bool same_text(std::string_view given, std::string_view wanted) {
  if (given.size() != wanted.size()) return false;
  unsigned char differs = 0;
  for (size_t index = 0; index < given.size(); ++index)
    differs |= static_cast<unsigned char>(given[index] ^ wanted[index]);
  return differs == 0;
}

}  // namespace

OwnServer own_server(const std::string& address, uint16_t port) {
  std::string host = address;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  OwnServer own{fmt::format("http://{}:{}", host, port), {}};
  for (int part = 0; part < 4; ++part) own.secret += fmt::format("{:016x}", entropy_seed());
  return own;
}

store::IncidentBody journal_body(const IncidentStatus& status) {
  store::IncidentBody body;
  const bool begins = status.state == IncidentState::kRunning;
  body.kind = begins ? store::IncidentBody::kStarted : store::IncidentBody::kEnded;
  body.id = status.id;
  body.load = name_of(status.kind);
  body.state = name_of(status.state);
  body.started_us = status.started_us;
  body.ends_us = status.ends_us;
  body.message = status.message;
  return body;
}

bool is_signed(std::string_view header, std::string_view body, const std::string& secret,
               int64_t now_us) {
  if (secret.empty() || !header.starts_with("t=")) return false;
  int64_t time_s = 0;
  const char* const end = header.data() + header.size();
  const auto parsed = std::from_chars(header.data() + 2, end, time_s);
  const int64_t now_s = now_us / 1'000'000;
  if (parsed.ec != std::errc{} || time_s < now_s - kSignatureAgeMaxS ||
      time_s > now_s + kSignatureAgeMaxS)
    return false;
  return same_text(header, streams::webhook_signature(secret, time_s, body));
}

DemoIncidents::DemoIncidents(const Clock& clock, std::string secret, Tell tell)
    : clock_(clock), secret_(std::move(secret)), tell_(std::move(tell)) {}

std::shared_ptr<DemoIncidents> DemoIncidents::make(Incidents::Options options, const Clock& clock,
                                                   std::string secret, Tell tell) {
  std::shared_ptr<DemoIncidents> demo(new DemoIncidents(clock, std::move(secret), std::move(tell)));
  options.on_change = [raw = demo.get()](const IncidentStatus& status) { raw->on_change(status); };
  demo->incidents_ = std::make_unique<Incidents>(std::move(options), clock);
  return demo;
}

void DemoIncidents::add_routes(net::HttpServer& server) {
  server.route("POST", "/v1/demo/heal",
               [demo = shared_from_this()](const net::HttpRequest& request,
                                           const std::shared_ptr<net::HttpReply>& reply) {
                 demo->heal(request, reply);
               });
}

void DemoIncidents::heal(const net::HttpRequest& request,
                         const std::shared_ptr<net::HttpReply>& reply) {
  if (!is_signed(request.header("x-quickwater-signature"), request.body, secret_, clock_.wall_us()))
    return reply->send(bad_signature());
  const auto asked = stop(IncidentState::kHealed, [reply](const IncidentStatus& over) {
    reply->send(healed(store::json_of(journal_body(over))));
  });
  // An alert may come without an incident of ours; then there is nothing to end.
  if (!asked.ok() && asked.error().code == ErrorCode::kNotFound)
    return reply->send(healed(nullptr));
  if (!asked.ok()) reply->send(net::error_response(asked.error()));
}

Result<IncidentStatus> DemoIncidents::start(IncidentKind kind, int seconds) {
  return incidents_->start(kind, seconds);
}

Result<void> DemoIncidents::stop(IncidentState how,
                                 std::function<void(const IncidentStatus&)> then) {
  // Under the lock, so that the incident cannot end between the asking and the waiting.
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kWaitingMax)
    return Error{ErrorCode::kExhausted, "too many wait for the end of the incident", "incident",
                 "try again"};
  QW_TRY(incidents_->ask_to_end(how));
  waiting_.push_back(std::move(then));
  return {};
}

void DemoIncidents::end() { incidents_->end(); }

void DemoIncidents::on_change(const IncidentStatus& status) {
  const bool begins = status.state == IncidentState::kRunning;
  log::info("incident", "{} {} {}", status.id, name_of(status.kind), name_of(status.state));
  tell_(journal_body(status));
  if (begins) return;
  std::vector<std::function<void(const IncidentStatus&)>> told;
  {
    const std::lock_guard lock(mutex_);
    told.swap(waiting_);
  }
  for (const auto& then : told) then(status);
}

}  // namespace qw::app
