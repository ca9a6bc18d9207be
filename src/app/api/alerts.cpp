#include "app/api/alerts.h"

#include <fmt/format.h>

namespace qw::app {

Refusal AlertAnswers::unknown(const std::string& id) const {
  return {404, "unknown_alert", fmt::format("there is no alert '{}'", id),
          fmt::format("take an id from GET /v1/alerts; the newest {} are kept", Story::kMaxAlerts)};
}

Outcome AlertAnswers::one(const net::HttpRequest& request) const {
  const std::string& id = request.params.at("id");
  const ShownAlert* const alert = story_.find(id);
  if (alert == nullptr) return unknown(id);
  return alert->body;
}

Outcome AlertAnswers::list(const net::HttpRequest& request) const {
  Query query(request);
  const auto state = query.word("state", {"open", "resolved"});
  const auto limit = static_cast<size_t>(query.integer("limit", 100, 1, 500));
  const auto before = query.text("before");
  if (query.fault()) return *query.fault();
  uint64_t below = ~uint64_t{0};
  if (before) {
    const ShownAlert* const last = story_.find(*before);
    if (last == nullptr) return unknown(*before);
    below = last->seq;
  }
  Json list = Json::array();
  std::string last_id;
  bool more = false;
  for (const ShownAlert* alert : story_.alerts()) {
    if (alert->seq >= below || (state && alert->open != (*state == "open"))) continue;
    more = list.size() == limit;
    if (more) break;
    list.push_back(alert->body);
    last_id = alert->id;
  }
  return Json{{"alerts", std::move(list)},
              {"counts", story_.counts()},
              {"next", more ? Json(last_id) : Json(nullptr)}};
}

}  // namespace qw::app
