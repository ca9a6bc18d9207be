#include "app/api/guard.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/env.h"

namespace qw::app {
namespace {

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

// Takes as long for a near miss as for a far one.
bool same_secret(std::string_view given, std::string_view own) {
  unsigned char differs = given.size() == own.size() ? 0 : 1;
  for (size_t index = 0; index < given.size() && index < own.size(); ++index)
    differs |= static_cast<unsigned char>(given[index] ^ own[index]);
  return differs == 0;
}

}  // namespace

std::string random_token() {
  std::string token;
  for (int part = 0; part < 4; ++part) token += fmt::format("{:016x}", entropy_seed());
  return token;
}

Guard::Guard(const std::string& address, uint16_t port, const std::vector<std::string>& names,
             std::string token)
    : token_(std::move(token)) {
  const auto add = [&](const std::string& name) {
    hosts_.insert(lower(fmt::format("{}:{}", name, port)));
    if (port == 80) hosts_.insert(lower(name));
  };
  for (const char* const own : {"localhost", "127.0.0.1", "[::1]"}) add(own);
  add(address.find(':') == std::string::npos ? address : "[" + address + "]");
  // A configured name may be reached through a proxy on another port.
  for (const std::string& name : names) {
    add(name);
    hosts_.insert(lower(name));
  }
}

std::optional<Refusal> Guard::judge(const net::HttpRequest& request) const {
  const std::string host = lower(request.header("host"));
  if (!hosts_.contains(host))
    return Refusal{403, "bad_host", fmt::format("this server is not '{}'", host.substr(0, 100)),
                   "call it by localhost, or add the name to `server.names`"};
  const std::string origin = lower(request.header("origin"));
  if (!origin.empty() && origin != "http://" + host && origin != "https://" + host)
    return Refusal{403, "bad_origin",
                   fmt::format("a page of '{}' may not call this server", origin.substr(0, 100)),
                   "open the page from this server itself"};
  if (request.method == "GET" || request.method == "HEAD") return std::nullopt;
  if (!same_secret(request.header("x-quickwater-token"), token_))
    return Refusal{403, "bad_token", "the token is missing or not this server's",
                   "reload the page; a script takes X-Quickwater-Token from GET /"};
  return std::nullopt;
}

}  // namespace qw::app
