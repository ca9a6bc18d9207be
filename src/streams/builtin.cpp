#include "streams/builtin.h"

#include <fmt/format.h>

#include <algorithm>

#include "streams/connectors/file/source.h"
#include "streams/connectors/host/source.h"
#include "streams/connectors/http/source.h"
#include "streams/connectors/kafka/source.h"
#include "streams/sinks/alertmanager/sink.h"
#include "streams/sinks/kafka/sink.h"
#include "streams/sinks/log/sink.h"
#include "streams/sinks/webhook/sink.h"

namespace qw::streams {
namespace {

Result<void> check_kind(std::string_view what, std::string_view kind,
                        const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), kind) != known.end()) return {};
  return Error{ErrorCode::kBadInput,
               fmt::format("unknown {} '{}' (known: {})", what, kind, fmt::join(known, ", ")), "",
               ""};
}

struct MakeSource {
  const SourceConfig& config;
  const Surroundings& surroundings;

  Result<std::unique_ptr<Source>> operator()(const host::Config& host) const {
    return host::make_host_source(host, config.name, surroundings.clock, surroundings.metrics);
  }
  Result<std::unique_ptr<Source>> operator()(const file::Config& file) const {
    return file::make_file_source(file, config.decode, config.event_time, surroundings.clock);
  }
  Result<std::unique_ptr<Source>> operator()(const http::Config& http) const {
    return http::make_http_source(http, config.name, config.decode, surroundings.clock,
                                  surroundings.metrics, surroundings.http_server);
  }
  Result<std::unique_ptr<Source>> operator()(const kafka::Config& kafka) const {
    return kafka::make_kafka_source(kafka, config.decode, surroundings.clock);
  }
};

struct MakeSink {
  const Surroundings& surroundings;

  Result<std::unique_ptr<Sink>> operator()(const LogSinkConfig& log) const {
    return make_log_sink(log);
  }
  Result<std::unique_ptr<Sink>> operator()(const WebhookSinkConfig& webhook) const {
    return make_webhook_sink(webhook, surroundings.clock);
  }
  Result<std::unique_ptr<Sink>> operator()(const AlertmanagerSinkConfig& alertmanager) const {
    return make_alertmanager_sink(alertmanager, surroundings.clock);
  }
  Result<std::unique_ptr<Sink>> operator()(const KafkaSinkConfig& kafka) const {
    return make_kafka_sink(kafka, surroundings.clock);
  }
};

}  // namespace

std::vector<std::string_view> source_kinds() { return {"host", "file", "http", "kafka"}; }
std::vector<std::string_view> sink_kinds() { return {"log", "webhook", "alertmanager", "kafka"}; }

Result<void> check_source_kind(std::string_view kind) {
  return check_kind("source", kind, source_kinds());
}
Result<void> check_sink_kind(std::string_view kind) {
  return check_kind("sink", kind, sink_kinds());
}

Result<std::unique_ptr<Source>> make_source(const SourceConfig& config,
                                            const Surroundings& surroundings) {
  SourceConfig counted = config;
  counted.decode.no_numbers = &surroundings.metrics.counter(
      "quickwater_nulled_values_total", "Values that became null, by the reason.",
      {{"source", config.name}, {"reason", "no_number"}});
  return std::visit(MakeSource{counted, surroundings}, counted.connector);
}

Result<std::unique_ptr<Sink>> make_sink(const SinkConfig& config,
                                        const Surroundings& surroundings) {
  return std::visit(MakeSink{surroundings}, config.kind);
}

}  // namespace qw::streams
