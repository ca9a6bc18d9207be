// HTTP/1.1 in and out: the network seam. One server per process serves pages, APIs, metrics and
// pushed events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"

namespace qw::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

// One request as the server read it: whole, within the limits of HttpServerOptions. A value; a
// handler that answers later copies what it needs.
struct HttpRequest {
  std::string method;                         // "GET"
  std::string path;                           // percent-decoded, without the query: "/v1/status"
  std::map<std::string, std::string> query;   // percent-decoded; the last of equal names wins
  std::map<std::string, std::string> params;  // from the route's {name} parts
  Headers headers;
  std::string body;
  std::string peer;  // "127.0.0.1:51234"

  // Case-insensitive; empty when absent.
  std::string_view header(std::string_view name) const;
};

// One answer, body and all. A value; the server adds the length.
struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  Headers headers;
};

// The one error shape of every API: {code, where, message, how_to_mend}, with the status that fits
// the code.
HttpResponse error_response(const Error& error);
int http_status_of(ErrorCode code);

// Writes a body piece by piece after the head (server-sent events). Any thread; a closed peer makes
// send() return false. Holds at most `max_pending_bytes`; a reader that falls further behind is
// disconnected.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  virtual bool send(std::string_view piece) = 0;
  virtual bool open() const = 0;
};

// Answers one request, once, from any thread. Dropped without an answer: the peer gets 500.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  virtual void send(HttpResponse response) = 0;
  virtual std::shared_ptr<HttpStream> start_stream(int status, std::string content_type,
                                                   Headers headers) = 0;
};
using HttpHandler =
    std::function<void(const HttpRequest& request, std::shared_ptr<HttpReply> reply)>;

// Where a server listens, and the most that a peer may cost it. A value, fixed once it listens.
struct HttpServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;                 // 0: the system chooses
  size_t max_body_bytes = 8u << 20;  // larger: 413
  size_t max_header_bytes = 16u << 10;
  // At the limit the newcomer takes the place of a connection that has waited longest without a
  // request (one that never sent any goes first); where all are busy or young it is refused.
  size_t max_connections = 1024;
  int patience_ms = 2'000;       // how long a connection may be without a request before that
  int idle_timeout_ms = 60'000;  // also the limit for reading one request
  size_t max_pending_stream_bytes = 1u << 20;
  MetricRegistry* metrics = nullptr;  // counts connections; outlives the server
};

// Owns one I/O thread. Routes are added before start(); handlers run on the I/O thread and must not
// block (they may keep the reply and answer later). Unknown paths get 404, known paths with another
// method 405, in the error shape.
class HttpServer {
 public:
  virtual ~HttpServer() = default;
  // `path` is exact ("/v1/status"), has named parts ("/v1/alerts/{id}/verdict"), or ends in "/*"
  // (prefix).
  virtual void route(std::string_view method, std::string_view path, HttpHandler handler) = 0;
  virtual void start() = 0;
  // Stops accepting, ends connections, joins the thread. Idempotent.
  virtual void stop() = 0;
  virtual uint16_t port() const = 0;
};
// kConflict when the port is in use (names the port and the setting), kBadInput for a bad address.
Result<std::unique_ptr<HttpServer>> listen_http(const HttpServerOptions& options);

// A plain or TLS URL, taken apart.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;
  uint16_t port = 80;
  std::string target = "/";  // path and query, as sent
};
Result<Url> parse_url(std::string_view url);

// Sends one request and waits for the whole answer, at most `timeout_ms` in all. Blocking; any
// thread; one connection per call. kTimeout, kUnavailable (refused, closed, unknown host),
// kExhausted (answer over `max_body_bytes`; no descriptor or thread left for it). A status of 400
// or more is an answer, not an error.
struct HttpClientOptions {
  int timeout_ms = 5'000;
  size_t max_body_bytes = 8u << 20;
  std::stop_token stop = {};  // once asked, the call ends at once with kUnavailable
};
Result<HttpResponse> send_http(std::string_view method, std::string_view url, std::string_view body,
                               const Headers& headers, const HttpClientOptions& options);

}  // namespace qw::net
