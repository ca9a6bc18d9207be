// From the application file's sources and sinks to the connectors that do the work.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/runtime/plan.h"
#include "streams/builtin.h"
#include "streams/connectors/kafka/member.h"
#include "streams/gate.h"
#include "streams/outbox.h"

namespace qw::app {

// What is wrong with how a source is read (pattern, time zone, expectations), each at its place.
// Nothing is opened.
using Complaint = std::pair<Place, Error>;
std::vector<Complaint> check_source(const PlanSource& source);

streams::GateOptions gate_options_of(const PlanSource& source);
streams::WebhookSinkConfig webhook_config_of(const Webhook& webhook);

// Whether what the sink is sent is delivered once between all members of the source's group: the
// decisions on a topic, to a topic of the same cluster.
bool writes_with(const PlanSource& source, const Sink& sink);
// What a row says of the records of such a source; the same for every member of the group.
std::string stream_of(const PlanSource& source);
// By source; null where no sink writes with it.
using GroupMembers = std::vector<std::shared_ptr<streams::kafka::GroupMember>>;
GroupMembers group_members(const Plan& plan);

Result<std::unique_ptr<streams::Source>> connect_source(const Plan& plan, size_t source,
                                                        const GroupMembers& members,
                                                        const streams::Surroundings& surroundings);
// `source`: what the sink's decision is on.
Result<std::unique_ptr<streams::Sink>> connect_sink(const Plan& plan, size_t source,
                                                    const Sink& sink, const GroupMembers& members,
                                                    const streams::Surroundings& surroundings);
streams::OutboxOptions outbox_options_of(const Sink& sink);

}  // namespace qw::app
