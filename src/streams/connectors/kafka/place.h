// Where a partition of a topic is gone on: what is kept of it, and whether that can still be
// trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "streams/connectors/kafka/config.h"

namespace qw::streams::kafka {

// What tells a record from another one at the same offset of a topic that was made anew.
struct Print {
  int64_t timestamp_ms = 0;
  uint64_t hash = 0;  // of the value
  friend bool operator==(const Print&, const Print&) = default;
};

// The place behind a record. The position of a record is base + offset + 1: `base` grows when a
// topic was made anew, so that positions never begin again. Members of a group agree on it, since
// it is kept beside the group's offset.
struct Place {
  int64_t offset = 0;
  int64_t base = 0;
  std::optional<Print> last;  // of the record before it, when that was read here
  std::string topic;          // empty: not known (kept by an earlier version)
  int64_t position() const { return base + offset; }
};

// As a source's `resume`. Reads, too, the bare offset that earlier versions kept.
std::string encode(const Place& place);
Result<Place> parse_place(std::string_view text);
// As the metadata of a group's offset. Of other programs' metadata: base 0 and no print.
std::string encode_metadata(const Place& place);
Place parse_metadata(int64_t offset, std::string_view metadata);

// The records that a partition holds: [low, high).
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};

// What is known of a partition when it is assigned.
struct Known {
  std::optional<Place> ours;
  std::optional<Place> groups;
  Range range;
  bool first = true;  // nobody of the group, and not we, have read the topic before
};

enum class Why : uint8_t {
  kAsKept,
  kFresh,       // nobody has a place
  kOtherTopic,  // ours is of another topic
  kRetention,   // records between it and the oldest are gone
  kMadeAnew     // the topic is shorter than its place
};

// Records [from, to) that other members of the group decided on and this one has not read: it reads
// them before it goes on, for what is remembered of them.
struct Rebuild {
  int64_t from = 0;
  int64_t to = 0;
};

// Where to begin.
struct Begin {
  Place at;
  Why why = Why::kAsKept;
  int64_t missed = 0;              // records that were removed before they were read
  bool verify = false;             // whether the record before it is still the one that was read
  std::optional<Rebuild> rebuild;  // ends at `at`
  int64_t groups = -1;             // the position that the group was told before
  Place next_owner;                // where another member would begin now
  bool gap = false;                // records before all that is read now were never read here
};
Begin begin_at(const Known& known, const std::string& topic, Start start);
// What is rebuilt begins no earlier than `earliest` (an offset), and is no more than `most`
// records.
void shorten(Begin& begin, int64_t earliest, int64_t most);
// For a person; `partition` names it. Empty when it goes on as kept.
std::string describe(const Begin& begin, const std::optional<Place>& kept,
                     const std::string& partition);
std::string describe_rebuild(const Rebuild& rebuild, const std::string& topic, uint32_t partition);
// The same topic name, but other records: everything that is there is new.
Begin made_anew(const Place& place, const Range& range);

}  // namespace qw::streams::kafka
