#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <optional>

#include "base/env.h"
#include "base/guard.h"
#include "base/net/http.h"
#include "base/net/internal/resolve.h"

namespace qw::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

Error failure(const beast::error_code& error, const Url& url, std::string_view step) {
  const std::string where = fmt::format("{}:{}", url.host, url.port);
  if (error == beast::error::timeout || error == asio::error::operation_aborted)
    return {ErrorCode::kTimeout, fmt::format("no answer within the time limit ({})", step), where,
            ""};
  if (error == http::error::body_limit)
    return {ErrorCode::kExhausted, "the answer is larger than the limit", where, ""};
  return {ErrorCode::kUnavailable, fmt::format("cannot {}: {}", step, error.message()), where, ""};
}

// Until nothing is left to do, or the call is to end. False then.
bool run(asio::io_context& context, const std::stop_token& stop) {
  context.restart();
  // A wish from here on stops the context by itself; see send_http.
  if (!stop.stop_requested()) context.run();
  return !stop.stop_requested();
}

Error stopped(const Url& url) {
  return {ErrorCode::kUnavailable, "the program is stopping",
          fmt::format("{}:{}", url.host, url.port), ""};
}

// One exchange over a connected stream (plain or TLS), driven by `context` until done or out of
// time.
template <class Stream>
Result<HttpResponse> exchange(asio::io_context& context, Stream& stream, const Url& url,
                              const http::request<http::string_body>& request,
                              const HttpClientOptions& options) {
  beast::error_code error = asio::error::would_block;
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(options.max_body_bytes);
  if (request.method() == http::verb::head) parser.skip(true);
  std::string_view step = "send the request";
  http::async_write(stream, request, [&](beast::error_code written, size_t) {
    if (written) {
      error = written;
      return;
    }
    step = "read the answer";
    http::async_read(stream, buffer, parser, [&](beast::error_code read, size_t) { error = read; });
  });
  if (!run(context, options.stop)) return stopped(url);
  if (error) return failure(error, url, step);
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get())
    response.headers.emplace_back(field.name_string(), field.value());
  response.content_type = std::string(parser.get()[http::field::content_type]);
  response.body = std::move(parser.get().body());
  return response;
}

Result<void> connect(asio::io_context& context, beast::tcp_stream& stream, const Url& url,
                     const HttpClientOptions& options) {
  const std::chrono::steady_clock::time_point until(std::chrono::nanoseconds(
      real_clock().monotonic_ns() + int64_t{options.timeout_ms} * 1'000'000));
  QW_ASSIGN(const auto endpoints, internal::resolve(url, until, options.stop));
  // One limit for all steps: the stream's timer is set once and never pushed back.
  stream.expires_at(until);
  beast::error_code error = asio::error::would_block;
  stream.async_connect(endpoints,
                       [&](beast::error_code connected, const auto&) { error = connected; });
  if (!run(context, options.stop)) return stopped(url);
  if (error) return failure(error, url, "connect");
  return {};
}

Result<HttpResponse> exchange_over_tls(asio::io_context& context, beast::tcp_stream plain,
                                       const Url& url,
                                       const http::request<http::string_body>& request,
                                       const HttpClientOptions& options) {
  asio::ssl::context tls(asio::ssl::context::tls_client);
  beast::error_code error;
  tls.set_default_verify_paths(error);
  if (error) return failure(error, url, "load this machine's certificates");
  beast::ssl_stream<beast::tcp_stream> stream(std::move(plain), tls);
  stream.set_verify_mode(asio::ssl::verify_peer);
  stream.set_verify_callback(asio::ssl::host_name_verification(url.host));
  SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str());
  error = asio::error::would_block;
  stream.async_handshake(asio::ssl::stream_base::client,
                         [&](beast::error_code done) { error = done; });
  if (!run(context, options.stop)) return stopped(url);
  if (error) return failure(error, url, "agree on TLS");
  return exchange(context, stream, url, request, options);
}

Result<HttpResponse> send(std::string_view method, std::string_view text, std::string_view body,
                          const Headers& headers, const HttpClientOptions& options) {
  QW_ASSIGN(const Url url, parse_url(text));
  http::request<http::string_body> request;
  request.method_string(beast::string_view(method.data(), method.size()));
  request.target(url.target);
  request.version(11);
  request.set(http::field::host, fmt::format("{}:{}", url.host, url.port));
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = std::string(body);
  request.prepare_payload();

  asio::io_context context(1);
  const std::stop_callback ends(options.stop, [&context] { context.stop(); });
  beast::tcp_stream stream(context);
  QW_TRY(connect(context, stream, url, options));
  if (url.scheme == "https")
    return exchange_over_tls(context, std::move(stream), url, request, options);
  return exchange(context, stream, url, request, options);
}

}  // namespace

// The library throws where the machine refuses a descriptor.
Result<HttpResponse> send_http(std::string_view method, std::string_view text,
                               std::string_view body, const Headers& headers,
                               const HttpClientOptions& options) {
  return guarded("an HTTP call", [&] { return send(method, text, body, headers, options); });
}

}  // namespace qw::net
