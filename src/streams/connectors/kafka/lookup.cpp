#include "streams/connectors/kafka/lookup.h"

#include <algorithm>

#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
namespace {

using internal::KafkaPtr;
using List = KafkaPtr<rd_kafka_topic_partition_list_t>;

List list_of(const std::string& topic, const std::vector<uint32_t>& partitions, int64_t offset) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const uint32_t partition : partitions)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), static_cast<int32_t>(partition))
        ->offset = offset;
  return list;
}

}  // namespace

Result<Lookup::GroupPlaces> Lookup::group_places(const std::vector<uint32_t>& partitions) const {
  const List list = list_of(topic, partitions, RD_KAFKA_OFFSET_INVALID);
  if (const auto code = internal::committed_each(client, *list, limit_ms); code != 0)
    return internal::kafka_error(code, topic, "the group's places cannot be read");
  GroupPlaces places;
  for (int i = 0; i < list->cnt; ++i) {
    const auto& found = list->elems[i];
    if (found.err == RD_KAFKA_RESP_ERR__TIMED_OUT) continue;
    if (found.err != 0)
      return internal::kafka_error(found.err, topic, "the group's places cannot be read");
    std::optional<Place>& place = places[static_cast<uint32_t>(found.partition)];
    if (found.offset < 0) continue;
    const std::string_view metadata(static_cast<const char*>(found.metadata),
                                    found.metadata == nullptr ? 0 : found.metadata_size);
    place = parse_metadata(found.offset, metadata);
  }
  return places;
}

Result<std::map<uint32_t, Range>> Lookup::ranges(const std::vector<uint32_t>& partitions) const {
  // A logical offset in place of a time asks for that end of the partition.
  const List low = list_of(topic, partitions, RD_KAFKA_OFFSET_BEGINNING);
  const List high = list_of(topic, partitions, RD_KAFKA_OFFSET_END);
  for (const List* list : {&low, &high})
    if (const auto code = rd_kafka_offsets_for_times(client, list->get(), limit_ms); code != 0)
      return internal::kafka_error(code, topic, "what the topic holds cannot be read");
  std::map<uint32_t, Range> ranges;
  for (int i = 0; i < low->cnt; ++i) {
    const auto& first = low->elems[i];
    const auto* end =
        rd_kafka_topic_partition_list_find(high.get(), topic.c_str(), first.partition);
    if (end == nullptr || first.err != 0 || end->err != 0 || first.offset < 0 || end->offset < 0)
      continue;
    ranges[static_cast<uint32_t>(first.partition)] = {first.offset, end->offset};
  }
  return ranges;
}

Result<std::map<uint32_t, int64_t>> Lookup::at_times(
    const std::map<uint32_t, int64_t>& times_ms) const {
  std::map<uint32_t, int64_t> offsets;
  if (times_ms.empty()) return offsets;
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(times_ms.size())));
  for (const auto& [partition, time_ms] : times_ms)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), static_cast<int32_t>(partition))
        ->offset = std::max<int64_t>(time_ms, 0);
  if (const auto code = rd_kafka_offsets_for_times(client, list.get(), limit_ms); code != 0)
    return internal::kafka_error(code, topic, "what the topic holds cannot be read");
  for (int i = 0; i < list->cnt; ++i)
    if (list->elems[i].err == 0 && list->elems[i].offset >= 0)
      offsets[static_cast<uint32_t>(list->elems[i].partition)] = list->elems[i].offset;
  return offsets;
}

bool Lookup::commit(const rd_kafka_topic_partition_list_t& offsets) const {
  const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client));
  rd_kafka_commit_queue(client, &offsets, queue.get(), nullptr, nullptr);
  const KafkaPtr<rd_kafka_event_t> done(rd_kafka_queue_poll(queue.get(), limit_ms));
  return done && rd_kafka_event_error(done.get()) == 0;
}

Result<std::vector<uint32_t>> Lookup::partitions() const {
  const rd_kafka_metadata_t* metadata = nullptr;
  if (const auto code = rd_kafka_metadata(client, 0, nullptr, &metadata, limit_ms); code != 0)
    return internal::kafka_error(code, topic, "its partitions cannot be read");
  std::vector<uint32_t> partitions;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& one = metadata->topics[i];
    if (topic != one.topic || one.err != 0) continue;
    for (int at = 0; at < one.partition_cnt; ++at)
      partitions.push_back(static_cast<uint32_t>(one.partitions[at].id));
  }
  rd_kafka_metadata_destroy(metadata);
  return partitions;
}

}  // namespace qw::streams::kafka
