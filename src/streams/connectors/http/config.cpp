#include "streams/connectors/http/config.h"

namespace qw::streams::http {

Result<void> check(const Config& config) {
  const auto bad = [](const char* message, const char* mend) {
    return Error{ErrorCode::kBadInput, message, "http", mend};
  };
  if (!config.path.empty() && !config.path.starts_with('/'))
    return bad("the path does not begin with '/'", "write it like /v1/events/clicks");
  if (config.path.find_first_of("{}*?#%") != std::string::npos)
    return bad("the path holds one of {}*?#%", "write plain characters, like /v1/events/clicks");
  if (config.max_pending_requests == 0 || config.max_pending_bytes == 0 || config.max_records == 0)
    return bad("a limit is 0", "give limits above 0");
  if (config.commit_timeout_ms < 1 || config.retry_after_s < 1)
    return bad("a time is not above 0", "");
  return {};
}

}  // namespace qw::streams::http
