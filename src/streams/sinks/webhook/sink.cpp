#include "streams/sinks/webhook/sink.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

namespace qw::streams {
namespace {

const std::string* header_of(const net::HttpResponse& answer, std::string_view wanted) {
  for (const auto& [name, value] : answer.headers)
    if (std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                   [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; }))
      return &value;
  return nullptr;
}

std::optional<int64_t> seconds_of_date(const std::string& text) {
  std::tm date{};
  if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr) return std::nullopt;
  return static_cast<int64_t>(::timegm(&date));
}

// Milliseconds until a Retry-After; 0 when there is none that can be read. A date there is measured
// from the answer's own, so that our clock has no part in it; by ours only where it has none.
int64_t retry_after_ms(const net::HttpResponse& answer, int64_t wall_us) {
  const std::string* const value = header_of(answer, "retry-after");
  if (value == nullptr) return 0;
  int64_t wait_s = 0;
  const auto parsed = std::from_chars(value->data(), value->data() + value->size(), wait_s);
  if (parsed.ec != std::errc{} || parsed.ptr != value->data() + value->size()) {
    const auto until_s = seconds_of_date(*value);
    if (!until_s) return 0;
    const std::string* const date = header_of(answer, "date");
    const auto now_s = date == nullptr ? std::nullopt : seconds_of_date(*date);
    wait_s = *until_s - now_s.value_or(wall_us / 1'000'000);
  }
  return std::clamp<int64_t>(wait_s, 0, 86'400) * 1000;
}

class WebhookSink final : public Sink {
 public:
  WebhookSink(WebhookSinkConfig config, const Clock& clock)
      : config_(std::move(config)), clock_(clock) {}

  Result<Start> open(std::string_view) override { return Start{}; }

  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    const OutboxRow& row = rows.front().row;
    net::Headers headers = config_.headers;
    headers.emplace_back("Content-Type", "application/json");
    headers.emplace_back("Idempotency-Key", row.action_id);
    if (!config_.secret.empty())
      headers.emplace_back(
          "X-Quickwater-Signature",
          webhook_signature(config_.secret, clock_.wall_us() / 1'000'000, row.json));
    net::HttpClientOptions options;
    options.timeout_ms = config_.timeout_ms;
    options.max_body_bytes = 1u << 20;
    options.stop = stop_.get_token();
    const auto answer = net::send_http("POST", config_.url, row.json, headers, options);
    Delivery next = judge_answer(answer, clock_.wall_us());
    const bool delivered = std::holds_alternative<Delivered>(next);
    return {delivered ? 1u : 0u, std::move(next)};
  }

  void cancel() override { stop_.request_stop(); }

 private:
  WebhookSinkConfig config_;
  const Clock& clock_;
  std::stop_source stop_;
};

}  // namespace

Delivery judge_answer(const Result<net::HttpResponse>& answer, int64_t wall_us) {
  if (!answer.ok()) return Retry{0, answer.error().to_string()};
  const int status = answer->status;
  if (status >= 200 && status < 300) return Delivered{status};
  const std::string said =
      fmt::format("the receiver answered {}: {}", status, answer->body.substr(0, 200));
  if (status == 408 || status == 425 || status == 429 || status >= 500)
    return Retry{retry_after_ms(*answer, wall_us), said};
  return Refused{said, status};
}

std::string webhook_signature(std::string_view secret, int64_t time_s, std::string_view body) {
  const std::string text = fmt::format("{}.{}", time_s, body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  ::HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  std::string signature = fmt::format("t={},v1=", time_s);
  for (unsigned int i = 0; i < size; ++i) signature += fmt::format("{:02x}", digest[i]);
  return signature;
}

Result<std::unique_ptr<Sink>> make_webhook_sink(const WebhookSinkConfig& config,
                                                const Clock& clock) {
  auto url = net::parse_url(config.url);
  // The URL may hold a secret: it is not repeated.
  if (!url.ok())
    return Error{ErrorCode::kBadInput, "the webhook's url cannot be read", "webhook",
                 "write http://host:port/path or https://host/path"};
  if (config.timeout_ms < 1 || config.timeout_ms > 600'000)
    return Error{ErrorCode::kBadInput, "the webhook's timeout is outside 1 ms .. 10 min", "webhook",
                 ""};
  return std::unique_ptr<Sink>(std::make_unique<WebhookSink>(config, clock));
}

}  // namespace qw::streams
