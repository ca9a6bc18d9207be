// The host source; see config.h for what it reports and source.h of streams for what it promises.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "base/metrics.h"
#include "streams/connectors/host/config.h"
#include "streams/source.h"

namespace qw::streams::host {

// One partition; nothing can be read again. A sample that is late by an interval or more is skipped
// and counted, the schedule itself does not drift.
Result<std::unique_ptr<Source>> make_host_source(const Config& config, const std::string& name,
                                                 const Clock& clock, MetricRegistry& metrics);

}  // namespace qw::streams::host
