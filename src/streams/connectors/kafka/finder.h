// Where a member begins to read the partitions that it was given.
#pragma once

#include <map>
#include <optional>

#include "base/result.h"
#include "streams/connectors/kafka/config.h"
#include "streams/connectors/kafka/cursor.h"
#include "streams/connectors/kafka/lookup.h"

namespace qw::streams::kafka {

// Asks the group and the topic about partitions without a place. A value; one thread.
struct Finder {
  const Config& config;
  Lookup ask;
  bool read_before = false;  // this member has places of the topic, whichever partition's

  // By partition; those of which something could not be asked are missing. Where nobody of the
  // group has read the topic and it is to be read from its end, that is fixed now, for all
  // partitions: what comes later is read, on whichever and by whomever.
  Result<std::map<uint32_t, Begin>> find(const Cursors& cursors) const;

 private:
  Result<bool> nobody_read(const Lookup::GroupPlaces& groups, bool unread) const;
  Result<void> bound_rebuilds(std::map<uint32_t, Begin>& found) const;
};

}  // namespace qw::streams::kafka
