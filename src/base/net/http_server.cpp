#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <set>
#include <thread>

#include "base/env.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/net/http.h"
#include "base/net/internal/routes.h"

namespace qw::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

using std::chrono::milliseconds;

constexpr int kDrainMs = 10'000;
constexpr int kStreamBufferBytes = 64 << 10;
constexpr int64_t kSayAgainNs = 60'000'000'000;
constexpr int kServedPatience = 15;  // as often the time of who never sent a request
constexpr int kAcceptAgainMs = 100;  // after the machine refused a descriptor
// What a newcomer hears that there is no room for: too short to be worth an HTTP library's pains.
constexpr std::string_view kNoRoom =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 2\r\n"
    "Connection: close\r\n\r\n";

class Connection;

// What connections share with their server. Lives as long as the last of them.
struct Shared {
  asio::io_context context{1};
  HttpServerOptions options;
  internal::RouteTable routes;
  std::set<std::shared_ptr<Connection>> connections;  // touched on the I/O thread only
};

// One client connection: reads a request, hands it to its route, writes the answer, and so on. All
// work happens on the I/O thread; replies from other threads are posted to it.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)), stream_(std::move(socket)) {}

  void start() {
    beast::error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    const auto peer = stream_.socket().remote_endpoint(ignored);
    peer_ = fmt::format("{}:{}", peer.address().to_string(), peer.port());
    read_request();
  }

  // Since when it waits for the first byte of a request; nothing while one is read or answered.
  std::optional<int64_t> idle_since() const {
    return waiting_ ? std::optional(waiting_since_) : std::nullopt;
  }
  bool served() const { return served_; }

  void close() {
    closed_ = true;
    waiting_ = false;
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
    shared_->connections.erase(shared_from_this());
  }

  asio::any_io_executor executor() { return stream_.get_executor(); }
  const HttpServerOptions& options() const { return shared_->options; }

  void write_response(HttpResponse response) {
    if (closed_) return;
    response_.emplace();
    response_->version(11);
    response_->result(static_cast<unsigned>(response.status));
    response_->set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) response_->set(name, value);
    response_->keep_alive(keep_alive_);
    response_->body() = std::move(response.body);
    response_->prepare_payload();
    if (head_only_) response_->body().clear();
    stream_.expires_after(milliseconds(options().idle_timeout_ms));
    http::async_write(stream_, *response_,
                      [self = shared_from_this()](beast::error_code error, size_t) {
                        if (!error && self->unread_) return self->drain();
                        if (error || !self->keep_alive_) return self->close();
                        self->read_request();
                      });
  }

  // The head of an answer whose body comes piece by piece until either side closes.
  void start_pieces(int status, const std::string& content_type, const Headers& headers) {
    std::string head =
        fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nConnection: close\r\n", status,
                    http::obsolete_reason(static_cast<http::status>(status)), content_type);
    for (const auto& [name, value] : headers) head += fmt::format("{}: {}\r\n", name, value);
    head += "\r\n";
    // What the system holds for a reader that takes nothing is not noticed here: let it be little.
    beast::error_code ignored;
    stream_.socket().set_option(asio::socket_base::send_buffer_size(kStreamBufferBytes), ignored);
    stream_.expires_never();
    watch_for_close();
    // Pieces that other threads sent may have overtaken this call; they wait behind the head.
    pending_.push_front(std::move(head));
    head_written_ = true;
    write_piece();
  }

  // Closes once everything queued has been written.
  void finish() {
    finishing_ = true;
    if (head_written_ && pending_.empty()) close();
  }

  void queue_piece(std::string piece) {
    if (closed_) return;
    pending_.push_back(std::move(piece));
    if (head_written_ && pending_.size() == 1) write_piece();
  }

 private:
  void read_request() {
    if (closed_) return;
    parser_.emplace();
    parser_->body_limit(options().max_body_bytes);
    parser_->header_limit(static_cast<uint32_t>(options().max_header_bytes));
    stream_.expires_after(milliseconds(options().idle_timeout_ms));
    if (buffer_.size() > 0) return read_whole();
    waiting_ = true;
    waiting_since_ = real_clock().monotonic_ns();
    // The first bytes alone, so that who waits for a request is told from who is in one.
    http::async_read_some(stream_, buffer_, *parser_,
                          [self = shared_from_this()](beast::error_code error, size_t) {
                            self->waiting_ = false;
                            if (self->closed_) return;
                            if (error || self->parser_->is_done()) return self->on_request(error);
                            self->read_whole();
                          });
  }
  void read_whole() {
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](beast::error_code error, size_t) { self->on_request(error); });
  }

  void on_request(beast::error_code error) {
    keep_alive_ = false;
    head_only_ = false;
    unread_ = error == http::error::body_limit;
    if (unread_)
      return write_response(
          error_response({ErrorCode::kExhausted, "the request body is too large", "request",
                          fmt::format("send at most {} bytes", options().max_body_bytes)}));
    if (error == http::error::header_limit)
      return write_response(
          error_response({ErrorCode::kExhausted, "the request head is too large", "request",
                          fmt::format("send at most {} bytes", options().max_header_bytes)}));
    if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message)
      return write_response(error_response(
          {ErrorCode::kBadInput, fmt::format("not a valid HTTP request: {}", error.message()),
           "request", ""}));
    if (error) return close();

    served_ = true;
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    head_only_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.peer = peer_;
    for (const auto& field : message)
      request.headers.emplace_back(field.name_string(), field.value());
    request.body = std::move(message.body());
    dispatch(std::move(request),
             std::string_view(message.target().data(), message.target().size()));
  }

  void dispatch(HttpRequest request, std::string_view target);

  void write_piece() {
    // Of the writing alone: the reading of the farewell has begun without a limit.
    stream_.expires_after(milliseconds(options().idle_timeout_ms));
    asio::async_write(stream_, asio::buffer(pending_.front()),
                      [self = shared_from_this()](beast::error_code error, size_t written) {
                        self->pending_bytes_ -= std::min(self->pending_bytes_.load(), written);
                        if (error) return self->close();
                        self->pending_.pop_front();
                        if (!self->pending_.empty()) return self->write_piece();
                        if (self->finishing_) self->close();
                      });
  }

  // While pieces go out, the only thing to read is the peer's farewell.
  void watch_for_close() {
    stream_.async_read_some(asio::buffer(farewell_),
                            [self = shared_from_this()](beast::error_code error, size_t) {
                              if (error) return self->close();
                              self->watch_for_close();
                            });
  }

  // Closing while the peer still sends would take the answer from it: what comes is thrown away.
  void drain() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    // In all, not a read: async_read_some does not begin the time anew.
    stream_.expires_after(milliseconds(kDrainMs));
    drained_.resize(64u << 10);
    drain_some();
  }
  void drain_some() {
    stream_.async_read_some(asio::buffer(drained_),
                            [self = shared_from_this()](beast::error_code error, size_t) {
                              if (error) return self->close();
                              self->drain_some();
                            });
  }

  friend class Stream;
  friend class Reply;
  std::shared_ptr<Shared> shared_;  // first, so that the context outlives the stream
  beast::tcp_stream stream_;
  std::string peer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool unread_ = false;  // the answer was given before the request was read
  bool finishing_ = false;
  bool head_written_ = false;
  bool waiting_ = false;
  bool served_ = false;  // at least one request
  int64_t waiting_since_ = 0;
  std::atomic<bool> closed_{false};
  std::deque<std::string> pending_;
  std::atomic<size_t> pending_bytes_{0};
  char farewell_[256];
  std::vector<char> drained_;
};

class Stream final : public HttpStream {
 public:
  explicit Stream(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~Stream() override {
    if (!open()) return;
    asio::post(connection_->executor(), [connection = connection_] { connection->finish(); });
  }
  bool send(std::string_view piece) override {
    if (!open()) return false;
    const size_t waiting = connection_->pending_bytes_.fetch_add(piece.size()) + piece.size();
    if (waiting > connection_->options().max_pending_stream_bytes) {
      asio::post(connection_->executor(), [connection = connection_] { connection->close(); });
      return false;
    }
    asio::post(connection_->executor(),
               [connection = connection_, text = std::string(piece)]() mutable {
                 connection->queue_piece(std::move(text));
               });
    return true;
  }
  bool open() const override { return !connection_->closed_; }

 private:
  std::shared_ptr<Connection> connection_;
};

class Reply final : public HttpReply {
 public:
  explicit Reply(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~Reply() override {
    if (!used_.exchange(true))
      write(error_response(
          {ErrorCode::kInternal, "the request was dropped without an answer", "", ""}));
  }
  void send(HttpResponse response) override {
    if (!used_.exchange(true)) write(std::move(response));
  }
  std::shared_ptr<HttpStream> start_stream(int status, std::string content_type,
                                           Headers headers) override {
    QW_ASSERT(!used_.exchange(true));
    asio::post(connection_->executor(),
               [connection = connection_, status, type = std::move(content_type),
                headers = std::move(headers)] { connection->start_pieces(status, type, headers); });
    return std::make_shared<Stream>(connection_);
  }

 private:
  void write(HttpResponse response) {
    if (connection_->closed_) return;
    asio::post(connection_->executor(),
               [connection = connection_, response = std::move(response)]() mutable {
                 connection->write_response(std::move(response));
               });
  }
  std::shared_ptr<Connection> connection_;
  std::atomic<bool> used_{false};
};

void Connection::dispatch(HttpRequest request, std::string_view target) {
  auto reply = std::make_shared<Reply>(shared_from_this());
  internal::PathParts parts;
  const auto problem = internal::split_target(target, request, parts);
  if (!problem.ok()) return reply->send(error_response(problem.error()));
  const auto found = shared_->routes.find(parts, request);
  if (found.handler != nullptr) {
    // What a handler throws ends its request, not the server; a reply that is dropped says so.
    const auto handled =
        guarded(request.path, [&] { (*found.handler)(request, std::move(reply)); });
    if (!handled.ok()) log::error("http", "{}", handled.error().to_string());
    return;
  }
  if (!found.methods.empty()) {
    HttpResponse response = error_response(
        {ErrorCode::kUnsupported,
         fmt::format("{} is not allowed on {}", request.method, request.path), "request", ""});
    response.status = 405;
    response.headers.emplace_back("Allow", fmt::format("{}", fmt::join(found.methods, ", ")));
    return reply->send(std::move(response));
  }
  reply->send(
      error_response({ErrorCode::kNotFound, fmt::format("there is nothing at {}", request.path),
                      "request", "see docs/reference/api.md for the paths"}));
}

class Server final : public HttpServer {
 public:
  explicit Server(const HttpServerOptions& options) {
    shared_->options = options;
    if (options.metrics == nullptr) return;
    open_ =
        &options.metrics->gauge("quickwater_http_open_connections", "Connections to this server.");
    given_up_ = &options.metrics->counter(
        "quickwater_http_given_up_connections_total",
        "Connections without a request that were closed to make room for a new one.");
    refused_ = &options.metrics->counter("quickwater_http_refused_connections_total",
                                         "New connections that there was no room for.");
  }
  ~Server() override { stop(); }

  Result<void> listen() {
    const HttpServerOptions& options = shared_->options;
    beast::error_code error;
    const auto address = asio::ip::make_address(options.address, error);
    if (error)
      return Error{ErrorCode::kBadInput, fmt::format("'{}' is not an IP address", options.address),
                   "server.address",
                   "use 127.0.0.1 to serve this machine only, or 0.0.0.0 for every network"};
    const tcp::endpoint endpoint(address, options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use)
      return Error{
          ErrorCode::kConflict, fmt::format("port {} is already in use", options.port),
          "server.port",
          "stop the other program, or choose another port with `server: { port: N }` or --port N"};
    if (error)
      return Error{
          ErrorCode::kIo,
          fmt::format("cannot listen on {}:{}: {}", options.address, options.port, error.message()),
          "server", ""};
    return {};
  }

  void route(std::string_view method, std::string_view path, HttpHandler handler) override {
    QW_ASSERT(!thread_.joinable());
    shared_->routes.add(method, path, std::move(handler));
  }

  void start() override {
    accept();
    thread_ = std::jthread([this] {
      // An exception leaves one call out; the server goes on.
      while (true) {
        const auto ran = guarded("the HTTP server", [this] { shared_->context.run(); });
        if (ran.ok()) return;
        log::error("http", "{}", ran.error().to_string());
      }
    });
  }

  void stop() override {
    if (!thread_.joinable()) return;
    // With nothing left to wait for, run() returns.
    asio::post(shared_->context, [this] {
      beast::error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      const auto open = shared_->connections;
      for (const auto& connection : open) connection->close();
    });
    thread_.join();
  }

  uint16_t port() const override {
    beast::error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error) return accept_later(error);
      if (make_room()) {
        auto connection = std::make_shared<Connection>(std::move(socket), shared_);
        shared_->connections.insert(connection);
        connection->start();
      } else {
        refuse(socket);
      }
      if (open_ != nullptr) open_->set(static_cast<double>(shared_->connections.size()));
      accept();
    });
  }

  // The newcomer waits in the system's queue meanwhile: to ask again at once would only burn a
  // processor.
  void accept_later(const beast::error_code& error) {
    const int64_t now_ns = real_clock().monotonic_ns();
    if (now_ns >= say_again_ns_) {
      say_again_ns_ = now_ns + kSayAgainNs;
      log::warning("http",
                   "cannot take a connection, it waits: {} (how to mend: allow more open files, "
                   "ulimit -n)",
                   error.message());
    }
    pause_.expires_after(milliseconds(kAcceptAgainMs));
    pause_.async_wait([this](beast::error_code) {
      if (acceptor_.is_open()) accept();
    });
  }

  // False: all are in use, or have not been here for long.
  bool make_room() {
    if (shared_->connections.size() < shared_->options.max_connections) return true;
    const int64_t now_ns = real_clock().monotonic_ns();
    const int64_t patience_ns = int64_t{shared_->options.patience_ms} * 1'000'000;
    std::shared_ptr<Connection> idlest;
    for (const auto& connection : shared_->connections) {
      const auto since = connection->idle_since();
      if (!since) continue;
      if (now_ns - *since < patience_ns * (connection->served() ? kServedPatience : 1)) continue;
      if (idlest == nullptr || connection->served() < idlest->served() ||
          (connection->served() == idlest->served() && *since < *idlest->idle_since()))
        idlest = connection;
    }
    if (idlest == nullptr) return false;
    idlest->close();
    if (given_up_ != nullptr) given_up_->add();
    return true;
  }

  // In as far as it fits at once; nobody waits for this.
  void refuse(tcp::socket& socket) {
    beast::error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kNoRoom), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    if (refused_ != nullptr) refused_->add();
    const int64_t now_ns = real_clock().monotonic_ns();
    if (now_ns < say_again_ns_) return;
    say_again_ns_ = now_ns + kSayAgainNs;
    log::warning("http",
                 "all {} connections are in use: new ones are refused (how to mend: close what is "
                 "not used, or allow more open files, ulimit -n)",
                 shared_->options.max_connections);
  }

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  tcp::acceptor acceptor_{shared_->context};
  asio::steady_timer pause_{shared_->context};
  int64_t say_again_ns_ = 0;
  Gauge* open_ = nullptr;
  Counter* given_up_ = nullptr;
  Counter* refused_ = nullptr;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> listen_http(const HttpServerOptions& options) {
  auto server = std::make_unique<Server>(options);
  QW_TRY(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace qw::net
