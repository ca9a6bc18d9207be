#include "cli/control.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace qw::cli {
namespace {

constexpr size_t kControlFileBytesMax = 1024;

// The key for changes, which the server writes into its page.
Result<std::string> token_of(const std::string& url) {
  QW_ASSIGN(const net::HttpResponse page, net::send_http("GET", url + "/", "", {}, {}));
  constexpr std::string_view kMark = "name=\"quickwater-token\" content=\"";
  const size_t mark = page.body.find(kMark);
  if (mark == std::string::npos)
    return Error{ErrorCode::kNotFound, "there is no page of a running application", url,
                 "give the address that `quickwater run` printed"};
  const size_t begin = mark + kMark.size();
  return page.body.substr(begin, page.body.find('"', begin) - begin);
}

// The error of an answer in the API's shape.
Error refusal_of(const net::HttpResponse& answer, const std::string& where) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  const auto text = [&body](const char* name) {
    return body.is_object() && body.contains(name) && body[name].is_string()
               ? body[name].get<std::string>()
               : std::string();
  };
  const std::string message = text("message");
  const ErrorCode code = text("code").ends_with("_running")             ? ErrorCode::kConflict
                         : answer.status >= 400 && answer.status <= 499 ? ErrorCode::kBadInput
                                                                        : ErrorCode::kUnavailable;
  return {code, message.empty() ? fmt::format("the answer was {}", answer.status) : message, where,
          text("how_to_mend")};
}

}  // namespace

std::string running_at(const std::string& data_folder) {
  const auto url = read_file(data_folder + "/" + kControlFile, kControlFileBytesMax);
  return url.ok() ? url->substr(0, url->find('\n')) : std::string();
}

Result<std::string> address_of(const std::string& url, const std::string& data_folder,
                               const std::string& command, const std::string& how_to_mend) {
  std::string address = url.empty() ? running_at(data_folder) : url;
  if (!address.empty()) return address;
  return Error{ErrorCode::kUnavailable, fmt::format("no application runs on '{}'", data_folder),
               command, how_to_mend};
}

Result<nlohmann::json> ask_running(const std::string& url, const std::string& path,
                                   const std::string& body, int limit_ms) {
  net::Headers headers;
  if (!body.empty()) {
    QW_ASSIGN(std::string token, token_of(url));
    headers = {{"Content-Type", "application/json"}, {"X-Quickwater-Token", std::move(token)}};
  }
  const std::string target = url + path;
  QW_ASSIGN(const net::HttpResponse answer,
            net::send_http(body.empty() ? "GET" : "POST", target, body, headers,
                           {.timeout_ms = limit_ms}));
  if (answer.status < 200 || answer.status > 299) return refusal_of(answer, target);
  auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (!json.is_object())
    return Error{ErrorCode::kUnavailable, "the answer is not Quickwater's", target,
                 "check that no other program listens there"};
  return json;
}

}  // namespace qw::cli
