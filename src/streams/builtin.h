// The connectors this build knows: name -> maker.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/env.h"
#include "base/metrics.h"
#include "base/net/http.h"
#include "streams/connectors/file/config.h"
#include "streams/connectors/host/config.h"
#include "streams/connectors/http/config.h"
#include "streams/connectors/kafka/config.h"
#include "streams/decoders/options.h"
#include "streams/sink.h"
#include "streams/sinks/configs.h"
#include "streams/source.h"

namespace qw::streams {

// One `sources:` entry. `decode` is not used by host (its schema is fixed, see host_schema()).
struct SourceConfig {
  std::string name;
  std::string event_time;  // column; replay orders by it
  DecodeOptions decode;
  std::variant<host::Config, file::Config, http::Config, kafka::Config> connector;
};

// What sources and sinks get from the process; all outlive them.
struct Surroundings {
  const Clock& clock;
  MetricRegistry& metrics;
  net::HttpServer* http_server = nullptr;  // not started yet; needed by http sources
  std::string data_folder_id = "";         // tells two that run the same application apart
};

// The kinds this version can make: "host", "file", "http", "kafka".
std::vector<std::string_view> source_kinds();
// The kinds this version can make: "log", "webhook", "alertmanager", "kafka".
std::vector<std::string_view> sink_kinds();
// kBadInput "unknown source 'x' (known: ...)".
Result<void> check_source_kind(std::string_view kind);
Result<void> check_sink_kind(std::string_view kind);

// kBadInput when the configuration cannot work; the peer is not contacted yet.
Result<std::unique_ptr<Source>> make_source(const SourceConfig& config,
                                            const Surroundings& surroundings);
Result<std::unique_ptr<Sink>> make_sink(const SinkConfig& config, const Surroundings& surroundings);

}  // namespace qw::streams
