#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/guard.h"
#include "base/net/internal/resolve.h"

namespace qw::net::internal {
namespace {

using boost::asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

// Shared by who asks and who looks up: either may be gone before the other.
struct LookUp {
  std::string host;
  std::string port;
  std::mutex mutex;
  std::condition_variable_any answered;
  std::optional<Result<Endpoints>> answer;
};

std::atomic<int> under_way{0};

Result<Endpoints> ask_system(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0)
    return Error{ErrorCode::kUnavailable,
                 fmt::format("cannot find the host: {}", ::gai_strerror(failed)), host, ""};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  Endpoints endpoints;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.resize(one->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

void look_up(const std::shared_ptr<LookUp>& shared) {
  auto answer = guarded(shared->host, [&] { return ask_system(shared->host, shared->port); });
  --under_way;
  const std::lock_guard lock(shared->mutex);
  shared->answer.emplace(std::move(answer));
  shared->answered.notify_all();
}

}  // namespace

Result<Endpoints> resolve(const Url& url, std::chrono::steady_clock::time_point until,
                          const std::stop_token& stop) {
  boost::system::error_code named;
  const auto address = boost::asio::ip::make_address(url.host, named);
  if (!named) return Endpoints{tcp::endpoint(address, url.port)};
  if (++under_way > kLookUpsMost) {
    --under_way;
    return Error{ErrorCode::kExhausted, "too many hosts are being looked up", url.host,
                 "see that the name servers of this machine answer"};
  }
  const auto shared = std::make_shared<LookUp>();
  shared->host = url.host;
  shared->port = std::to_string(url.port);
  // On its own, since nothing can end it; it holds nothing of ours.
  const auto begun =
      guarded(url.host, [&] { std::thread([shared] { look_up(shared); }).detach(); });
  if (!begun.ok()) {
    --under_way;
    return begun.error();
  }
  std::unique_lock lock(shared->mutex);
  if (shared->answered.wait_until(lock, stop, until, [&] { return shared->answer.has_value(); }))
    return *shared->answer;
  if (stop.stop_requested())
    return Error{ErrorCode::kUnavailable, "the program is stopping", url.host, ""};
  return Error{ErrorCode::kTimeout, "the host is not found within the time limit", url.host,
               "see that the name servers of this machine answer"};
}

}  // namespace qw::net::internal
