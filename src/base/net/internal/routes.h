// Which handler answers which method and path; free of any socket.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/net/http.h"

namespace qw::net::internal {

// Splits "/a%20b?x=1" into the request's path and query. kBadInput for bad percent-encoding or a
// target without '/'.
Result<void> split_target(std::string_view target, HttpRequest& request);

// Routes in the order they were added; the first that fits wins.
class RouteTable {
 public:
  void add(std::string_view method, std::string_view path, HttpHandler handler);
  struct Found {
    const HttpHandler* handler = nullptr;  // owned by the table
    bool path_known = false;               // the path exists, perhaps with another method
  };
  // Fills request.params on success. HEAD is answered by GET's handler.
  Found find(HttpRequest& request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> parts;
    bool prefix = false;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace qw::net::internal
