#include "streams/connectors/kafka/finder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/log.h"

namespace qw::streams::kafka {
namespace {

using List = internal::KafkaPtr<rd_kafka_topic_partition_list_t>;

// Kafka's times are those of producers, the windows' those of events: a record is sent some time
// after its event.
constexpr int64_t kSlackUs = 60'000'000;

}  // namespace

Result<bool> Finder::nobody_read(const Lookup::GroupPlaces& groups, bool unread) const {
  const auto none = [](const Lookup::GroupPlaces& places) {
    return std::ranges::none_of(places, [](const auto& one) { return one.second.has_value(); });
  };
  if (config.start != Start::kLatest || !unread || !none(groups)) return none(groups);
  if (read_before) return false;
  QW_ASSIGN(const std::vector<uint32_t> all, ask.partitions());
  QW_ASSIGN(const auto others, ask.group_places(all));
  if (!none(others) || others.size() < all.size()) return false;
  QW_ASSIGN(const auto ranges, ask.ranges(all));
  const List offsets(rd_kafka_topic_partition_list_new(8));
  for (const auto& [partition, range] : ranges)
    rd_kafka_topic_partition_list_add(offsets.get(), config.topic.c_str(),
                                      static_cast<int32_t>(partition))
        ->offset = range.high;
  if (offsets->cnt > 0 && !ask.commit(*offsets))
    log::warning("source.kafka",
                 "{} at {}: the ends at which the group begins could not be committed",
                 config.topic, config.brokers);
  return true;
}

// A rebuild reaches as far back as anything is remembered, seen from the group's place.
Result<void> Finder::bound_rebuilds(std::map<uint32_t, Begin>& found) const {
  std::map<uint32_t, int64_t> times_ms;
  for (const auto& [partition, begin] : found)
    if (begin.rebuild && begin.at.last)
      times_ms[partition] = begin.at.last->timestamp_ms - (config.remember_us + kSlackUs) / 1'000;
  QW_ASSIGN(const auto earliest, ask.at_times(times_ms));
  for (auto& [partition, begin] : found) {
    const auto at = earliest.find(partition);
    const bool nothing = config.remember_us == 0;
    shorten(begin, at == earliest.end() ? 0 : at->second, nothing ? 0 : config.rebuild_max);
  }
  return {};
}

Result<std::map<uint32_t, Begin>> Finder::find(const Cursors& cursors) const {
  std::vector<uint32_t> wanted;
  bool unread = false;
  for (const auto& [partition, cursor] : cursors) {
    if (cursor.placed) continue;
    wanted.push_back(partition);
    unread = unread || !cursor.kept;
  }
  std::map<uint32_t, Begin> found;
  if (wanted.empty()) return found;
  QW_ASSIGN(const auto groups, ask.group_places(wanted));
  std::erase_if(wanted, [&](uint32_t partition) { return !groups.contains(partition); });
  QW_ASSIGN(const bool first, nobody_read(groups, unread));
  QW_ASSIGN(const auto ranges, ask.ranges(wanted));
  for (const auto& [partition, range] : ranges) {
    const Cursor& cursor = cursors.at(partition);
    if (cursor.anew) {
      found[partition] = made_anew(*cursor.kept, range);
      continue;
    }
    const Known known{cursor.kept, groups.at(partition), range, first};
    found[partition] = begin_at(known, config.topic, config.start);
  }
  QW_TRY(bound_rebuilds(found));
  return found;
}

}  // namespace qw::streams::kafka
