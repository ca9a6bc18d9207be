// Aim: Asio and Beast are usable from this build. Method: a server thread answers one HTTP request
// on a port of the kernel's choice; the client reads the reply back.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <string>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

void answer_one(asio::ip::tcp::acceptor& acceptor) {
  asio::ip::tcp::socket socket = acceptor.accept();
  beast::flat_buffer buffer;
  http::request<http::string_body> request;
  http::read(socket, buffer, request);
  http::response<http::string_body> response{http::status::ok, request.version()};
  response.body() = "hello " + request.body();
  response.prepare_payload();
  http::write(socket, response);
}

TEST(Toolchain, BeastAnswersAnHttpRequest) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
  std::jthread server([&acceptor] { answer_one(acceptor); });
  asio::ip::tcp::socket socket(context);
  socket.connect(acceptor.local_endpoint());
  http::request<http::string_body> request{http::verb::post, "/", 11};
  request.body() = "world";
  request.prepare_payload();
  http::write(socket, request);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  http::read(socket, buffer, response);
  EXPECT_EQ(response.result(), http::status::ok);
  EXPECT_EQ(response.body(), "hello world");
}

}  // namespace
