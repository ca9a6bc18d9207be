// GET /v1/alerts and /v1/alerts/{id}.
#pragma once

#include <string>

#include "app/api/answer.h"
#include "app/api/story.h"

namespace qw::app {

// Answers from the story. Used by its thread.
class AlertAnswers {
 public:
  explicit AlertAnswers(const Story& story) : story_(story) {}
  Outcome list(const net::HttpRequest& request) const;
  Outcome one(const net::HttpRequest& request) const;
  Refusal unknown(const std::string& id) const;

 private:
  const Story& story_;
};

}  // namespace qw::app
