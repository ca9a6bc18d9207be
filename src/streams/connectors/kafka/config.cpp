#include "streams/connectors/kafka/config.h"

namespace qw::streams::kafka {

Result<void> check(const Config& config) {
  const auto bad = [](const char* message, const char* mend) {
    return Error{ErrorCode::kBadInput, message, "kafka", mend};
  };
  if (config.brokers.empty()) return bad("no brokers are given", "write host:port");
  if (config.topic.empty()) return bad("no topic is given", "");
  if (config.group.empty()) return bad("no consumer group is given", "name one for this app");
  if (config.session_timeout_ms < 1'000 || config.session_timeout_ms > 3'600'000)
    return bad("session_timeout is outside 1 s .. 1 h", "");
  if (config.flush_timeout_ms < 1) return bad("flush_timeout is not above 0", "");
  if (config.max_queued_kbytes == 0 || config.max_queued_kbytes > 2'000'000)
    return bad("max_queued_kbytes is outside 1..2000000", "");
  for (const auto& [name, value] : config.client) QW_TRY(check_client_setting(name, value));
  return {};
}

}  // namespace qw::streams::kafka
