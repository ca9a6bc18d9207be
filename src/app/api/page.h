// Serves the page that is embedded in the binary.
#pragma once

#include <memory>
#include <string>

#include "app/api/guard.h"
#include "base/net/http.h"

namespace qw::app {

// Adds GET / (with the guard's token filled in) and GET /assets/*. Before the server's start; the
// routes share the guard.
void add_page_routes(net::HttpServer& server, std::shared_ptr<const Guard> guard);

}  // namespace qw::app
