// The Kafka source; see config.h for what it reads and source.h of streams for what it promises.
#pragma once

#include <memory>

#include "base/env.h"
#include "streams/connectors/kafka/config.h"
#include "streams/decoders/options.h"
#include "streams/source.h"

namespace qw::streams::kafka {

// A row's position is base + offset + 1; see Place. A partition begins at the greater of our saved
// place and the group's committed offset, with what lies between read again (SourceBatch's
// decided_to). The group's offset follows only what is durable here and, where sinks write with the
// source, delivered; it is never taken back, but for a moment by a transaction of such a sink.
// Partitions are given up after a flush through SourceHost, so that the next owner begins behind
// what we counted.
Result<std::unique_ptr<Source>> make_kafka_source(const Config& config, const DecodeOptions& decode,
                                                  const Clock& clock);

}  // namespace qw::streams::kafka
