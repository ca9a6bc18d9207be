// The demo of a running application: it starts incidents, and receives the healing webhook that
// ends them.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/incident/incident.h"
#include "app/runtime/healers.h"
#include "base/env.h"
#include "base/net/http.h"
#include "base/result.h"
#include "store/commit/journal_kinds.h"

namespace qw::app {

// This server as its own webhooks reach it, and a key for them that is new at each call.
OwnServer own_server(const std::string& address, uint16_t port);

// As the journal and docs/reference/api.md say it.
store::IncidentBody journal_body(const IncidentStatus& status);

// Whether `header` ("t=SECONDS,v1=HEX") signs `body` with `secret`, made at most five minutes from
// now.
bool is_signed(std::string_view header, std::string_view body, const std::string& secret,
               int64_t now_us);

// The incidents of one application, as `tell` hears them. POST /v1/demo/heal, signed with `secret`,
// ends the one that runs, whatever alert it is sent for, and is answered once it is over. Any
// thread. Made before the server starts; end() before the server stops.
class DemoIncidents : public std::enable_shared_from_this<DemoIncidents> {
 public:
  // Told when an incident begins and when it is over.
  using Tell = std::function<void(const store::IncidentBody& incident)>;
  static std::shared_ptr<DemoIncidents> make(Incidents::Options options, const Clock& clock,
                                             std::string secret, Tell tell);

  void add_routes(net::HttpServer& server);
  // kConflict when one runs or the application ends; kBadInput; kIo.
  Result<IncidentStatus> start(IncidentKind kind, int seconds);
  // `then` hears it once it is over, on another thread; kNotFound when none runs.
  Result<void> stop(IncidentState how, std::function<void(const IncidentStatus&)> then);
  // The running one, or the last; nothing before the first.
  std::optional<IncidentStatus> status() const { return incidents_->status(); }
  // No more incidents; waits until the one that runs is over and told.
  void end();

 private:
  DemoIncidents(const Clock& clock, std::string secret, Tell tell);
  void on_change(const IncidentStatus& status);
  void heal(const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply);

  const Clock& clock_;
  const std::string secret_;
  const Tell tell_;
  std::mutex mutex_;
  std::vector<std::function<void(const IncidentStatus&)>> waiting_;  // at most kWaitingMax
  std::unique_ptr<Incidents> incidents_;
};

}  // namespace qw::app
