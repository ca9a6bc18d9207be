#include "app/api/page.h"

#include <fmt/format.h>

#include "app/page/assets.h"

namespace qw::app {
namespace {

constexpr std::string_view kTokenMark = "__QUICKWATER_TOKEN__";

net::Headers page_headers(std::string cache) {
  return {{"Cache-Control", std::move(cache)},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Content-Security-Policy",
           "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'"}};
}

const PageAsset* find_asset(std::string_view path) {
  for (const PageAsset& asset : page_assets())
    if (asset.path == path) return &asset;
  return nullptr;
}

net::HttpResponse index_with(const std::string& token) {
  std::string text(find_asset("/index.html")->bytes);
  if (const size_t at = text.find(kTokenMark); at != std::string::npos)
    text.replace(at, kTokenMark.size(), token);
  return {200, std::move(text), "text/html; charset=utf-8", page_headers("no-store")};
}

net::HttpResponse asset_answer(const net::HttpRequest& request) {
  const PageAsset* const asset = find_asset(request.path);
  if (asset == nullptr)
    return refusal_answer({404, "unknown_path", fmt::format("there is no file {}", request.path),
                           "reload the page: it may be of another version"},
                          request);
  net::Headers headers = page_headers("public, max-age=31536000, immutable");
  headers.emplace_back("ETag", asset->etag);
  if (request.header("if-none-match") == asset->etag)
    return {304, "", std::string(asset->content_type), std::move(headers)};
  return {200, std::string(asset->bytes), std::string(asset->content_type), std::move(headers)};
}

}  // namespace

void add_page_routes(net::HttpServer& server, std::shared_ptr<const Guard> guard) {
  const auto serve = [&server, guard](const char* path, auto answer) {
    server.route(
        "GET", path,
        [guard, answer](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
          if (const auto refused = guard->judge(request))
            return reply->send(refusal_answer(*refused, request));
          reply->send(answer(request));
        });
  };
  serve("/", [guard](const net::HttpRequest&) { return index_with(guard->token()); });
  serve("/assets/*", asset_answer);
}

}  // namespace qw::app
