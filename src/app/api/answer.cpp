#include "app/api/answer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace qw::app {
namespace {

net::HttpResponse json_response(std::string body, int status) {
  return {status,
          std::move(body),
          "application/json; charset=utf-8",
          {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

}  // namespace

net::HttpResponse json_answer(const Json& body, int status) {
  return json_response(written(body), status);
}

net::HttpResponse refusal_answer(const Refusal& refusal, const net::HttpRequest& request) {
  const Json body = {{"code", refusal.code},
                     {"where", request.method + " " + request.path},
                     {"message", refusal.message},
                     {"how_to_mend", refusal.how_to_mend}};
  net::HttpResponse response = json_response(written(body), refusal.status);
  if (refusal.status == 503 || refusal.status == 429)
    response.headers.emplace_back("Retry-After", std::to_string(kRetryAfterS));
  return response;
}

void Query::refuse(std::string message, std::string how_to_mend) {
  if (!fault_) fault_ = {400, "bad_parameter", std::move(message), std::move(how_to_mend)};
}

std::optional<std::string> Query::text(const std::string& name) const {
  const auto found = request_.query.find(name);
  if (found == request_.query.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::optional<int64_t> Query::integer(const std::string& name, int64_t low, int64_t high) {
  const auto text = this->text(name);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const char* const end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec == std::errc{} && parsed.ptr == end && value >= low && value <= high) return value;
  refuse(fmt::format("'{}' is '{}'", name, text->substr(0, 40)),
         fmt::format("give a whole number from {} to {}", low, high));
  return std::nullopt;
}

int64_t Query::integer(const std::string& name, int64_t fallback, int64_t low, int64_t high) {
  return integer(name, low, high).value_or(fallback);
}

std::optional<std::string> Query::word(const std::string& name,
                                       const std::vector<std::string>& known) {
  const auto text = this->text(name);
  if (!text || std::find(known.begin(), known.end(), *text) != known.end()) return text;
  refuse(fmt::format("'{}' is '{}'", name, text->substr(0, 40)),
         fmt::format("use one of {}", fmt::join(known, ", ")));
  return std::nullopt;
}

std::vector<std::string> Query::list(const std::string& name) const {
  std::vector<std::string> parts;
  const std::string text = this->text(name).value_or("");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Body Body::parse(const net::HttpRequest& request) {
  Body body;
  body.json = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (!body.json.is_object())
    body.fault = {400, "bad_json", "the body is not one JSON object", "send an object, as {...}"};
  return body;
}

std::optional<std::string> Body::text(const std::string& name, size_t most) {
  if (fault || !json.contains(name)) return std::nullopt;
  const Json& value = json[name];
  if (value.is_string() && value.get_ref<const std::string&>().size() <= most)
    return value.get<std::string>();
  fault = {400, "bad_parameter", fmt::format("'{}' is not a text of at most {} bytes", name, most),
           "shorten it, or write it in quotes"};
  return std::nullopt;
}

}  // namespace qw::app
