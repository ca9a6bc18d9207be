#include "streams/connectors/kafka/cursor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace qw::streams::kafka {

bool all_placed(const Cursors& cursors) {
  return std::all_of(cursors.begin(), cursors.end(),
                     [](const auto& one) { return one.second.placed && !one.second.moved; });
}

int64_t left_to_rebuild(const Cursors& cursors) {
  int64_t left = 0;
  for (const auto& [partition, cursor] : cursors)
    if (cursor.placed) left += std::max<int64_t>(0, cursor.decided_to - cursor.next);
  return left;
}

internal::KafkaPtr<rd_kafka_topic_partition_list_t> list_of(const Cursors& cursors,
                                                            const std::string& topic) {
  internal::KafkaPtr<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(cursors.size())));
  for (const auto& [partition, cursor] : cursors) {
    if (!cursor.placed) continue;
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), static_cast<int32_t>(partition))
        ->offset = cursor.verify ? cursor.next - 1 : cursor.next;
  }
  return list;
}

void read_statistics(std::string_view json, const std::string& topic, int64_t since_us,
                     Cursors& cursors) {
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  const nlohmann::json::json_pointer place("/topics");
  if (!parsed.is_object() || !parsed.contains(place)) return;
  if (parsed.value("ts", int64_t{0}) < since_us) return;
  const auto ours = parsed.at(place).find(topic);
  if (ours == parsed.at(place).end() || !ours->contains("partitions")) return;
  for (auto& [partition, cursor] : cursors) {
    const auto found = ours->at("partitions").find(std::to_string(partition));
    if (!cursor.placed || found == ours->at("partitions").end()) continue;
    if (found->value("fetch_state", "") != "active") continue;
    cursor.fetched_to = found->value("next_offset", int64_t{-1});
    const int64_t stable = found->value("ls_offset", int64_t{-1});
    cursor.end = stable >= 0 ? stable : found->value("hi_offset", int64_t{-1});
  }
}

}  // namespace qw::streams::kafka
