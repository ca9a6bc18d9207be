// Aim: the server answers, limits and refuses as its contract says, seen through our client and
// through raw sockets.
#include "base/net/http.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <stop_token>
#include <vector>

#include "base/env.h"
#include "base/net/internal/routes.h"

namespace qw::net {
namespace {

class HttpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpServerOptions options;
    options.max_body_bytes = 1000;
    options.max_pending_stream_bytes = 1 << 16;
    server_ = listen_http(options).value();
    server_->route("POST", "/echo",
                   [](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
                     reply->send({200,
                                  request.body,
                                  "text/plain",
                                  {{"X-Seen", std::string(request.header("x-test"))}}});
                   });
    server_->route(
        "GET", "/things/{id}/parts",
        [](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
          reply->send(
              {200, request.params.at("id") + "|" + request.query.at("q"), "text/plain", {}});
        });
    server_->route("GET", "/dropped", [](const HttpRequest&, std::shared_ptr<HttpReply>) {});
    server_->route("GET", "/stream", [this](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
      stream_.set_value(
          reply->start_stream(200, "text/event-stream", {{"Cache-Control", "no-store"}}));
    });
    server_->start();
  }

  Result<HttpResponse> ask(std::string_view method, std::string_view target,
                           std::string_view body = "", const Headers& headers = {}) {
    return send_http(method, fmt::format("http://127.0.0.1:{}{}", server_->port(), target), body,
                     headers, {});
  }

  // Sends bytes as they are and returns all that comes back until the server closes.
  std::string raw(std::string_view bytes) {
    const int fd = connect_raw();
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    std::string answer;
    char piece[4096];
    for (ssize_t got = 0; (got = ::recv(fd, piece, sizeof piece, 0)) > 0;)
      answer.append(piece, static_cast<size_t>(got));
    ::close(fd);
    return answer;
  }

  int connect_raw() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    timeval limit{10, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  std::unique_ptr<HttpServer> server_;
  std::promise<std::shared_ptr<HttpStream>> stream_;
};

TEST_F(HttpTest, AnswersWithBodyAndHeaders) {
  const auto answer = ask("POST", "/echo", "hello", {{"X-Test", "seen"}});
  ASSERT_TRUE(answer.ok()) << answer.error().to_string();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
}

TEST_F(HttpTest, FillsPathPartsAndQuery) {
  EXPECT_EQ(ask("GET", "/things/cpu%7Ctotal/parts?q=a+b%26c")->body, "cpu|total|a b&c");
}

TEST_F(HttpTest, AnEncodedSlashStaysInItsPart) {
  EXPECT_EQ(ask("GET", "/things/cpu%2Fall%252F/parts?q=1")->body, "cpu/all%2F|1");
  EXPECT_EQ(ask("GET", "/things/cpu/all/parts?q=1")->status, 404);
}

TEST_F(HttpTest, UnknownPathsAndMethodsAreNamed) {
  EXPECT_EQ(ask("GET", "/nowhere")->status, 404);
  EXPECT_NE(ask("GET", "/nowhere")->body.find("\"code\":\"NOT_FOUND\""), std::string::npos);
  EXPECT_EQ(ask("GET", "/echo")->status, 405);
  EXPECT_NE(raw("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").find("Allow: POST"),
            std::string::npos);
}

TEST_F(HttpTest, ADroppedReplyIsAnError) { EXPECT_EQ(ask("GET", "/dropped")->status, 500); }

TEST_F(HttpTest, ABodyOverTheLimitIsRefusedAndTheServerGoesOn) {
  EXPECT_EQ(ask("POST", "/echo", std::string(1001, 'x'))->status, 413);
  EXPECT_EQ(ask("POST", "/echo", std::string(1000, 'x'))->status, 200);
}

TEST_F(HttpTest, ChunkedBodiesArriveWhole) {
  const auto answer =
      raw("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: "
          "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_NE(answer.find("\r\n\r\nabcde"), std::string::npos) << answer;
}

TEST_F(HttpTest, SmuggledAndBrokenRequestsAreRefused) {
  for (const char* bytes :
       {"NONSENSE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /things/%zz/parts HTTP/1.1\r\nConnection: close\r\n\r\n"})
    EXPECT_TRUE(raw(bytes).starts_with("HTTP/1.1 400")) << bytes << " -> " << raw(bytes);
}

TEST_F(HttpTest, StreamsPiecesUntilClosed) {
  auto reader = std::async(std::launch::async,
                           [this] { return raw("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"); });
  auto stream = stream_.get_future().get();
  EXPECT_TRUE(stream->send("data: 1\n\n"));
  EXPECT_TRUE(stream->send("data: 2\n\n"));
  stream.reset();  // what was sent before is still delivered
  const std::string answer = reader.get();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK")) << answer;
  EXPECT_TRUE(answer.ends_with("data: 1\n\ndata: 2\n\n")) << answer;
}

TEST_F(HttpTest, AReaderThatFallsBehindIsDisconnected) {
  const int fd = connect_raw();
  const std::string ask = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_GT(::send(fd, ask.data(), ask.size(), 0), 0);
  auto stream = stream_.get_future().get();
  const std::string piece(8192, 'x');
  bool refused = false;
  for (int sent = 0; sent < 100'000 && !refused; ++sent) refused = !stream->send(piece);
  EXPECT_TRUE(refused);
  ::close(fd);
}

TEST_F(HttpTest, APortInUseIsNamed) {
  HttpServerOptions options;
  options.port = server_->port();
  const auto second = listen_http(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_NE(second.error().message.find(std::to_string(options.port)), std::string::npos);
}

TEST_F(HttpTest, TheClientGivesUpAtItsLimit) {
  // A listening socket that never answers.
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  HttpClientOptions options;
  options.timeout_ms = 50;
  const auto answer = send_http("GET", fmt::format("http://127.0.0.1:{}/", ntohs(address.sin_port)),
                                "", {}, options);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kTimeout);
  ::close(fd);
  const auto refused = send_http(
      "GET", fmt::format("http://127.0.0.1:{}/", ntohs(address.sin_port)), "", {}, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST_F(HttpTest, ACallEndsWhenItsCallerIsAskedTo) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  for (const char* scheme : {"http", "https"}) {
    std::stop_source stop;
    HttpClientOptions options;
    options.timeout_ms = 3'600'000;
    options.stop = stop.get_token();
    const std::string url = fmt::format("{}://127.0.0.1:{}/", scheme, ntohs(address.sin_port));
    auto answer = std::async([&] { return send_http("GET", url, "", {}, options); });
    const int peer = ::accept(fd, nullptr, nullptr);  // from here on it waits for the answer
    stop.request_stop();
    const auto answered = answer.get();
    ASSERT_FALSE(answered.ok());
    EXPECT_EQ(answered.error().code, ErrorCode::kUnavailable);
    ::close(peer);
    EXPECT_FALSE(send_http("GET", url, "", {}, options).ok());  // nor does a later one begin
  }
  ::close(fd);
}

TEST_F(HttpTest, ConnectionsWaitWhileTheMachineRefusesDescriptors) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int next = ::dup(fd);
  ::close(next);
  const rlimit lower{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server_->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string_view request = "GET /things/7/parts?q=x HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  timeval soon{0, 200'000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  char piece[1024];
  EXPECT_LT(::recv(fd, piece, sizeof piece, 0), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const timeval long_enough{60, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &long_enough, sizeof long_enough);
  const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
  ASSERT_GT(got, 0);
  EXPECT_TRUE(std::string_view(piece, static_cast<size_t>(got)).starts_with("HTTP/1.1 200"));
  ::close(fd);
}

// A server that is full of peers which ask for nothing still serves who asks.
TEST(FullHttpServer, GivesTheIdlestConnectionUp) {
  MetricRegistry metrics;
  HttpServerOptions options;
  options.max_connections = 3;
  options.patience_ms = 0;
  options.metrics = &metrics;
  const auto server = listen_http(options).value();
  server->route("GET", "/", [](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
    reply->send({200, "yes", "text/plain", {}});
  });
  server->start();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<int> idle;
  for (int i = 0; i < 10; ++i) {
    idle.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(idle.back(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  const auto answer =
      send_http("GET", fmt::format("http://127.0.0.1:{}/", server->port()), "", {}, {});
  ASSERT_TRUE(answer.ok()) << answer.error().to_string();
  EXPECT_EQ(answer->body, "yes");
  EXPECT_GT(metrics.counter("quickwater_http_given_up_connections_total", "").value(), 0u);
  for (const int fd : idle) ::close(fd);
}

// A peer that opens a stream and reads nothing does not keep its place for ever.
TEST(HttpStreams, EndWhenNobodyTakesThem) {
  HttpServerOptions options;
  options.idle_timeout_ms = 100;
  const auto server = listen_http(options).value();
  std::promise<std::shared_ptr<HttpStream>> opened;
  server->route("GET", "/", [&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
    opened.set_value(reply->start_stream(200, "text/event-stream", {}));
  });
  server->start();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int small = 4096;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string_view request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  const auto stream = opened.get_future().get();
  // Within what may wait for a slow reader: it is the time that ends it.
  for (int piece = 0; piece < 60; ++piece) stream->send(std::string(10'000, 'x'));
  const int64_t until_ns = real_clock().monotonic_ns() + 60'000'000'000;
  while (stream->open() && real_clock().monotonic_ns() < until_ns) real_clock().sleep_us(10'000);
  EXPECT_FALSE(stream->open());
  ::close(fd);
}

TEST(Urls, AreTakenApartOrRefused) {
  const auto url = parse_url("http://[::1]:8080/a?b=c").value();
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 8080);
  EXPECT_EQ(url.target, "/a?b=c");
  EXPECT_EQ(parse_url("https://example.org").value().port, 443);
  for (const char* bad : {"", "example.org", "ftp://x/", "http://", "http://user@host/",
                          "http://h:99999/", "http://h/\r\nX: 1"})
    EXPECT_FALSE(parse_url(bad).ok()) << bad;
}

}  // namespace
}  // namespace qw::net
