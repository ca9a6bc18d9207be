// Listens to the stream of the control API on a raw socket.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/env.h"

namespace qw::test {

// A stream, read as it comes; each wait ends after a minute.
class Listener {
 public:
  Listener(uint16_t port, const std::string& parameters) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    timeval limit{60, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string request =
        fmt::format("GET /v1/stream{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", parameters, port);
    EXPECT_EQ(::send(socket_, request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
  }
  ~Listener() { ::close(socket_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  struct Event {
    std::string name, id;
    nlohmann::json data;
  };
  // The next event; its name is empty when the stream ended.
  Event next() {
    size_t end = 0;
    while ((end = text_.find("\n\n")) == std::string::npos) {
      char piece[4096];
      const ssize_t got = ::recv(socket_, piece, sizeof piece, 0);
      if (got <= 0) return {};
      text_.append(piece, static_cast<size_t>(got));
    }
    const std::string block = text_.substr(0, end + 1);
    text_.erase(0, end + 2);
    Event event;
    event.name = field(block, "event: ");
    event.id = field(block, "id: ");
    event.data = nlohmann::json::parse(field(block, "data: "), nullptr, false);
    return event.name.empty() ? next() : event;
  }
  // The next of this name; its name is empty when none came within half a minute.
  Event next(const std::string& name) {
    const int64_t give_up_ns = real_clock().monotonic_ns() + int64_t{30'000'000'000};
    while (real_clock().monotonic_ns() < give_up_ns) {
      Event event = next();
      if (event.name == name || event.name.empty()) return event;
    }
    return {};
  }

 private:
  static std::string field(const std::string& block, const std::string& mark) {
    size_t at = block.find("\n" + mark);
    if (block.starts_with(mark)) at = 0;
    if (at == std::string::npos) return {};
    at = block.find(mark, at) + mark.size();
    return block.substr(at, block.find('\n', at) - at);
  }
  int socket_ = -1;
  std::string text_;
};

}  // namespace qw::test
