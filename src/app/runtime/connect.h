// From the application file's sources and sinks to the connectors that do the work.
#pragma once

#include <memory>

#include "app/runtime/plan.h"
#include "streams/builtin.h"
#include "streams/outbox.h"

namespace qw::app {

Result<std::unique_ptr<streams::Source>> connect_source(const Plan& plan, size_t source,
                                                        const streams::Surroundings& surroundings);
Result<std::unique_ptr<streams::Sink>> connect_sink(const Plan& plan, const Sink& sink,
                                                    const streams::Surroundings& surroundings);
streams::OutboxOptions outbox_options_of(const Sink& sink);

}  // namespace qw::app
