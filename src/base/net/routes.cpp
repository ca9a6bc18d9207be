#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/net/internal/routes.h"

namespace qw::net {
namespace internal {
namespace {

Result<std::string> percent_decoded(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '+' && plus_is_space) {
      decoded.push_back(' ');
    } else if (text[at] != '%') {
      decoded.push_back(text[at]);
    } else {
      unsigned value = 0;
      const char* begin = text.data() + at + 1;
      if (at + 2 >= text.size() || std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2)
        return Error{ErrorCode::kBadInput, "the address has a broken %-sequence", "request",
                     "write %25 for a percent sign"};
      decoded.push_back(static_cast<char>(value));
      at += 2;
    }
  }
  return decoded;
}

PathParts split_path(std::string_view path) {
  PathParts parts;
  size_t begin = 1;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool fits(const PathParts& pattern, bool prefix, const PathParts& parts,
          std::map<std::string, std::string>& params) {
  if (prefix ? parts.size() < pattern.size() : parts.size() != pattern.size()) return false;
  for (size_t index = 0; index < pattern.size(); ++index) {
    const std::string& wanted = pattern[index];
    if (wanted.size() > 2 && wanted.front() == '{')
      params[wanted.substr(1, wanted.size() - 2)] = parts[index];
    else if (wanted != parts[index])
      return false;
  }
  return true;
}

}  // namespace

Result<void> split_target(std::string_view target, HttpRequest& request, PathParts& parts) {
  if (target.empty() || target.front() != '/')
    return Error{ErrorCode::kBadInput, "the request's address must begin with '/'", "request", ""};
  const size_t mark = std::min(target.find('?'), target.size());
  QW_ASSIGN(request.path, percent_decoded(target.substr(0, mark), false));
  // Split before it is decoded: an encoded slash belongs to its part.
  parts = split_path(target.substr(0, mark));
  for (std::string& part : parts) {
    QW_ASSIGN(part, percent_decoded(part, false));
  }
  std::string_view rest = mark < target.size() ? target.substr(mark + 1) : std::string_view();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    QW_ASSIGN(std::string name, percent_decoded(pair.substr(0, equals), true));
    const std::string_view raw =
        equals < pair.size() ? pair.substr(equals + 1) : std::string_view();
    QW_ASSIGN(request.query[name], percent_decoded(raw, true));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

void RouteTable::add(std::string_view method, std::string_view path, HttpHandler handler) {
  Route route;
  route.method = method;
  route.prefix = path.ends_with("/*");
  if (route.prefix) path.remove_suffix(2);
  route.parts = path.empty() ? PathParts{} : split_path(path);
  route.handler = std::move(handler);
  routes_.push_back(std::move(route));
}

RouteTable::Found RouteTable::find(const PathParts& parts, HttpRequest& request) const {
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  Found found;
  for (const Route& route : routes_) {
    std::map<std::string, std::string> params;
    if (!fits(route.parts, route.prefix, parts, params)) continue;
    if (route.method != method) {
      found.methods.push_back(route.method);
      continue;
    }
    request.params = std::move(params);
    found.handler = &route.handler;
    return found;
  }
  return found;
}

}  // namespace internal

std::string_view HttpRequest::header(std::string_view name) const {
  const auto same = [&](const auto& field) {
    return std::equal(field.first.begin(), field.first.end(), name.begin(), name.end(),
                      [](char a, char b) { return std::tolower(a) == std::tolower(b); });
  };
  const auto it = std::find_if(headers.begin(), headers.end(), same);
  return it == headers.end() ? std::string_view() : std::string_view(it->second);
}

int http_status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput: return 400;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kConflict: return 409;
    case ErrorCode::kExhausted: return 413;
    case ErrorCode::kTimeout: return 504;
    case ErrorCode::kUnavailable: return 503;
    case ErrorCode::kUnsupported: return 501;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal: return 500;
  }
  return 500;
}

HttpResponse error_response(const Error& error) {
  const nlohmann::json body = {{"code", name_of(error.code)},
                               {"where", error.where},
                               {"message", error.message},
                               {"how_to_mend", error.how_to_mend}};
  HttpResponse response;
  response.status = http_status_of(error.code);
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

Result<Url> parse_url(std::string_view text) {
  const Error bad{ErrorCode::kBadInput, fmt::format("'{}' is not an http or https address", text),
                  "url", "write it as http://host:port/path"};
  Url url;
  const size_t mark = text.find("://");
  if (mark == std::string_view::npos) return bad;
  url.scheme = text.substr(0, mark);
  if (url.scheme != "http" && url.scheme != "https") return bad;
  std::string_view rest = text.substr(mark + 3);
  const size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.target = rest.substr(slash);
  if (url.target.empty() || url.target.front() != '/') url.target.insert(0, "/");
  url.port = url.scheme == "https" ? 443 : 80;
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  if (has_port) {
    const char* const end = authority.data() + authority.size();
    const auto parsed = std::from_chars(authority.data() + colon + 1, end, url.port);
    if (parsed.ec != std::errc{} || parsed.ptr != end || url.port == 0) return bad;
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  if (authority.empty() || authority.find('@') != std::string_view::npos) return bad;
  if (text.find_first_of("\r\n \t") != std::string_view::npos) return bad;
  url.host = authority;
  return url;
}

}  // namespace qw::net
