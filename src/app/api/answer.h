// What an API call gets and gives: parameters with limits, JSON answers, and the one shape of
// errors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/api/json.h"
#include "base/net/http.h"

namespace qw::app {

// Why a call is not done: `code` is of docs/reference/api.md, `status` fits it. A value.
struct Refusal {
  int status = 400;
  std::string code;
  std::string message;
  std::string how_to_mend;
};
// With 503 and 429: when to come again.
constexpr int kRetryAfterS = 1;

net::HttpResponse json_answer(const Json& body, int status = 200);
// `where` is the call: "GET /v1/alerts/a-7".
net::HttpResponse refusal_answer(const Refusal& refusal, const net::HttpRequest& request);

// Reads the parameters of one call; the first that is wrong is remembered and its default used.
// Refers to the request.
class Query {
 public:
  explicit Query(const net::HttpRequest& request) : request_(request) {}

  std::optional<std::string> text(const std::string& name) const;
  std::optional<int64_t> integer(const std::string& name, int64_t low, int64_t high);
  int64_t integer(const std::string& name, int64_t fallback, int64_t low, int64_t high);
  // One of the words, or nothing when it is absent.
  std::optional<std::string> word(const std::string& name, const std::vector<std::string>& known);
  // A comma-separated list; empty parts are left out.
  std::vector<std::string> list(const std::string& name) const;
  const std::optional<Refusal>& fault() const { return fault_; }

 private:
  void refuse(std::string message, std::string how_to_mend);

  const net::HttpRequest& request_;
  std::optional<Refusal> fault_;
};

// The body of a change: one JSON object.
struct Body {
  Json json;
  std::optional<Refusal> fault;

  static Body parse(const net::HttpRequest& request);
  // A text of at most `most` bytes; nothing when it is absent, and notes a fault when it is wrong.
  std::optional<std::string> text(const std::string& name, size_t most);
};

}  // namespace qw::app
