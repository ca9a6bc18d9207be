// `http:` events pushed to this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace qw::streams::http {

// What an http source takes, and the most it may hold. A value; check() names what is out of range.
struct Config {
  std::string path;                   // empty: "/v1/events/<source name>"
  size_t max_pending_requests = 256;  // more: 429 with Retry-After
  size_t max_pending_bytes = 16u << 20;
  size_t max_records = 4096;           // per request
  int64_t commit_timeout_ms = 10'000;  // not durable by then: 503, the client sends again
  int64_t retry_after_s = 1;
  std::string token;  // when set, `Authorization: Bearer` must carry it; never logged
};

Result<void> check(const Config& config);

}  // namespace qw::streams::http
