// Which handler answers which method and path; free of any socket.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/net/http.h"

namespace qw::net::internal {

// What lies between the slashes of a path, decoded one by one: "/a/b%2Fc" is {"a", "b/c"}.
using PathParts = std::vector<std::string>;

// Splits "/a%20b?x=1" into the request's path and query, and the path into its parts. kBadInput for
// bad percent-encoding or a target without '/'.
Result<void> split_target(std::string_view target, HttpRequest& request, PathParts& parts);

// Routes in the order they were added; the first that fits wins.
class RouteTable {
 public:
  void add(std::string_view method, std::string_view path, HttpHandler handler);
  struct Found {
    const HttpHandler* handler = nullptr;  // owned by the table
    std::vector<std::string> methods;      // of a path that exists; filled when none fits
  };
  // Fills request.params on success. HEAD is answered by GET's handler.
  Found find(const PathParts& parts, HttpRequest& request) const;

 private:
  struct Route {
    std::string method;
    PathParts parts;
    bool prefix = false;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace qw::net::internal
