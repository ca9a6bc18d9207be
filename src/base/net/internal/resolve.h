// Names to addresses, within a limit of time.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <stop_token>
#include <vector>

#include "base/net/http.h"
#include "base/result.h"

namespace qw::net::internal {

// The system's own look-up cannot be ended and may take half a minute where no name server answers;
// it goes on by itself when the time is over. kTimeout, kUnavailable (unknown host; `stop` was
// asked), kExhausted (kLookUpsMost go on already; no thread).
constexpr int kLookUpsMost = 16;
Result<std::vector<boost::asio::ip::tcp::endpoint>> resolve(
    const Url& url, std::chrono::steady_clock::time_point until, const std::stop_token& stop);

}  // namespace qw::net::internal
