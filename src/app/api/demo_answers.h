// POST and DELETE /v1/demo/incident, and the demo part of the status.
#pragma once

#include <memory>

#include "app/api/answer.h"
#include "app/incident/demo.h"
#include "base/net/http.h"

namespace qw::app {

// Answers for the incidents of the demo; without any (null) every change is refused. One thread.
class DemoAnswers {
 public:
  void use(std::shared_ptr<DemoIncidents> incidents) { incidents_ = std::move(incidents); }

  Json status() const;
  void start(const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) const;
  // Answered once it is over.
  void stop(const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) const;

 private:
  std::shared_ptr<DemoIncidents> incidents_;
};

}  // namespace qw::app
