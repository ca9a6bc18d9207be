// The partitions of a topic that a consumer reads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "streams/connectors/kafka/place.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {

// A partition that is ours: where it is read, and how far its end is. A value.
struct Cursor {
  bool placed = false;        // else it is read as soon as its place can be found
  bool anew = false;          // ... as a topic that was made anew
  bool verify = false;        // the record before the place is to come first
  std::optional<Place> kept;  // ours, when it is placed
  int64_t base = 0;
  int64_t next = 0;  // behind the last message that was taken
  std::optional<Print> last;
  std::optional<int64_t> rebuild_from;  // where to read on once the record before was compared
  bool moved = false;                   // to be read from another place than is read now
  int64_t decided_to = 0;               // records before it were decided by others of the group
  bool gap = false;                     // records before the next one were never read here
  int64_t fetched_to = -1;              // as of the last statistics, what holds no record included
  int64_t end = -1;
  int64_t through = 0;  // everything before it was taken

  // Whether nothing of it waits unread.
  bool at_end() const { return placed && !verify && !moved && end >= 0 && through >= end; }
  Place place(const std::string& topic) const { return {next, base, last, topic}; }
};

using Cursors = std::map<uint32_t, Cursor>;

// Whether each is read from its place.
bool all_placed(const Cursors& cursors);
// Records that others decided and that are still to be read again.
int64_t left_to_rebuild(const Cursors& cursors);
// Those that have a place, to be assigned there.
internal::KafkaPtr<rd_kafka_topic_partition_list_t> list_of(const Cursors& cursors,
                                                            const std::string& topic);
// What a fetch has gone past without finding a record (the ends of transactions, what was aborted)
// is known from librdkafka's statistics alone. Those from before `since_us` (monotonic) say
// nothing.
void read_statistics(std::string_view json, const std::string& topic, int64_t since_us,
                     Cursors& cursors);

}  // namespace qw::streams::kafka
