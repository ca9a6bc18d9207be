// The HTTP source; see config.h for what it takes and source.h of streams for what it promises.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "base/metrics.h"
#include "base/net/http.h"
#include "streams/connectors/http/config.h"
#include "streams/decoders/options.h"
#include "streams/source.h"

namespace qw::streams::http {

// Adds its route to `server`, which must outlive the source and may outlive its close(): it then
// answers 503. A request is answered once all its records are durable:
//   200 {records, accepted, late, duplicates, dropped, dead_letters, results}; `results` names the
//       records that were not simply accepted, with the reason;
//   422 the same with an error: every record went to the dead letters;
//   400 not told apart into records; 401, 403, 413;
//   429 too much is waiting; 503 not durable in time, or stopping. Both with Retry-After: the same
//       request may be sent again, and records with an event_id count once.
// Nothing but the event_id tells a repeated request from a new one.
Result<std::unique_ptr<Source>> make_http_source(const Config& config, const std::string& name,
                                                 const DecodeOptions& decode, const Clock& clock,
                                                 MetricRegistry& metrics, net::HttpServer* server);

}  // namespace qw::streams::http
