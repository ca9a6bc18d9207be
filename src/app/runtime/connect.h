// From the application file's sources and sinks to the connectors that do the work.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "app/runtime/plan.h"
#include "streams/builtin.h"
#include "streams/gate.h"
#include "streams/outbox.h"

namespace qw::app {

// What is wrong with how a source is read (pattern, time zone, expectations), each at its place.
// Nothing is opened.
using Complaint = std::pair<Place, Error>;
std::vector<Complaint> check_source(const PlanSource& source);

streams::GateOptions gate_options_of(const PlanSource& source);
streams::WebhookSinkConfig webhook_config_of(const Webhook& webhook);

Result<std::unique_ptr<streams::Source>> connect_source(const Plan& plan, size_t source,
                                                        const streams::Surroundings& surroundings);
Result<std::unique_ptr<streams::Sink>> connect_sink(const Plan& plan, const Sink& sink,
                                                    const streams::Surroundings& surroundings);
streams::OutboxOptions outbox_options_of(const Sink& sink);

}  // namespace qw::app
