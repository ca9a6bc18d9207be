// Writes rows to a Kafka topic: key, the JSON object, and the action id as a header.
#pragma once

#include <memory>

#include "base/env.h"
#include "streams/sink.h"
#include "streams/sinks/configs.h"

namespace qw::streams {

// Each batch is one transaction, which also moves an offset of the consumer group named as the
// transactional id: the outbox seq of its last row, with that row's action id beside it. At the
// start, and whenever the end of a transaction is not known, that offset says what has arrived; so
// a reader with isolation.level=read_committed sees each row exactly once. It rests on the broker
// keeping that offset: offsets.retention.minutes (7 days) after the last write, a row whose
// delivery was not recorded here is written again. Another owner that writes as the same
// transactional id makes open() wait (kConflict; see Lease); a writer that is overtaken all the
// same is fenced off by the broker. A row that is larger than the broker takes is refused. Rows of
// a source in the same cluster are delivered once between all members of its group; see Turns. Fail
// points: kafka_sink.before_membership, kafka_sink.before_commit.
Result<std::unique_ptr<Sink>> make_kafka_sink(const KafkaSinkConfig& config, const Clock& clock);

}  // namespace qw::streams
