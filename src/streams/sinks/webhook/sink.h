// The webhook sink: POSTs each row with its action id as Idempotency-Key, signed when there is a
// secret. At least once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/net/http.h"
#include "streams/sink.h"
#include "streams/sinks/configs.h"

namespace qw::streams {

// kBadInput: the URL or the timeout cannot work.
Result<std::unique_ptr<Sink>> make_webhook_sink(const WebhookSinkConfig& config,
                                                const Clock& clock);

// "t=1700000000,v1=<hex HMAC-SHA256 of "1700000000." + body>"
std::string webhook_signature(std::string_view secret, int64_t time_s, std::string_view body);

// What an answer means: 2xx delivered; 408, 425, 429, 5xx later (honouring Retry-After in seconds
// or as a date); anything else refused. Unanswered requests are tried again.
Delivery judge_answer(const Result<net::HttpResponse>& answer, int64_t wall_us);

}  // namespace qw::streams
