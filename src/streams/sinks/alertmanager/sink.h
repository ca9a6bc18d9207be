// The Alertmanager sink: POST /api/v2/alerts, sent again before it ends, resolved at the end. At
// least once; Alertmanager takes repeats of the same labels for one alert.
#pragma once

#include <memory>

#include "base/env.h"
#include "streams/sink.h"
#include "streams/sinks/configs.h"

namespace qw::streams {

// kBadInput: the URL or a time cannot work.
Result<std::unique_ptr<Sink>> make_alertmanager_sink(const AlertmanagerSinkConfig& config,
                                                     const Clock& clock);

}  // namespace qw::streams
