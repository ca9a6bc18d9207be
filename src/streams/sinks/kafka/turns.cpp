#include "streams/sinks/kafka/turns.h"

#include <algorithm>

namespace qw::streams {
namespace {

constexpr int kAskMs = 5'000;
constexpr int64_t kAgainNs = 1'000'000'000;

}  // namespace

bool Turns::look() {
  const bool changed = source_.member->number() != turn_.number;
  const int64_t now_ns = clock_.monotonic_ns();
  if (changed) {
    turn_ = source_.member->turn();
    arrived_.clear();
  }
  const bool unknown = std::ranges::any_of(
      turn_.ours, [&](const auto& one) { return !arrived_.contains(one.first); });
  if (!unknown && aside_.empty()) return changed;
  if (!changed && now_ns - asked_ns_ < kAgainNs) return false;
  asked_ns_ = now_ns;
  // A broker that does not answer, or a transaction that another member left open and that nobody
  // knows the end of yet: it is asked again.
  const auto news = ask();
  if (!changed && !news.value_or(false)) return false;
  aside_.clear();  // whoever asks about rows again puts them aside again
  return true;
}

// True: more has arrived than was known.
Result<bool> Turns::ask() {
  if (!client_) {
    internal::KafkaSettings ours = broker_;
    ours["group.id"] = source_.arrived_group;
    ours["enable.auto.commit"] = "false";
    ours["isolation.level"] = "read_committed";
    QW_ASSIGN(auto conf, internal::kafka_conf(ours, client_settings_));
    QW_ASSIGN(client_, internal::kafka_client(RD_KAFKA_CONSUMER, std::move(conf)));
  }
  std::set<uint32_t> wanted = aside_;
  for (const auto& [partition, place] : turn_.ours) wanted.insert(partition);
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(wanted.size())));
  for (const uint32_t partition : wanted)
    rd_kafka_topic_partition_list_add(list.get(), source_.topic.c_str(),
                                      static_cast<int32_t>(partition));
  if (const auto code = internal::committed_each(client_.get(), *list, kAskMs); code != 0)
    return internal::kafka_error(code, source_.arrived_group);
  bool news = false;
  for (int i = 0; i < list->cnt; ++i) {
    const auto& found = list->elems[i];
    const auto partition = static_cast<uint32_t>(found.partition);
    if (found.err != 0) continue;
    const auto position = static_cast<uint64_t>(std::max<int64_t>(found.offset, 0));
    const auto [known, first] = arrived_.try_emplace(partition, position);
    news = news || first || known->second < position;
    known->second = std::max(known->second, position);
  }
  return news;
}

Turn Turns::turn_of(const RowOrigin& origin) {
  const auto arrived = arrived_.find(origin.partition);
  if (arrived != arrived_.end() && origin.position <= arrived->second) return Turn::kArrived;
  if (arrived != arrived_.end() && turn_.ours.contains(origin.partition)) return Turn::kNow;
  aside_.insert(origin.partition);
  return Turn::kAside;
}

Turns::Moved Turns::arrival(std::span<const PendingRow> rows) const {
  std::map<uint32_t, uint64_t> last;
  for (const PendingRow& row : rows) last[row.row.origin.partition] = row.row.origin.position;
  Moved moved{List(rd_kafka_topic_partition_list_new(static_cast<int>(last.size()))),
              Group(rd_kafka_consumer_group_metadata_new(source_.arrived_group.c_str()))};
  for (const auto& [partition, position] : last)
    rd_kafka_topic_partition_list_add(moved.offsets.get(), source_.topic.c_str(),
                                      static_cast<int32_t>(partition))
        ->offset = static_cast<int64_t>(position);
  return moved;
}

Turns::Moved Turns::membership(std::span<const PendingRow> rows) const {
  Moved moved;
  const kafka::GroupMember::Turn now = source_.member->turn();
  if (now.number != turn_.number || now.identity.empty()) return moved;
  moved.group = internal::group_of(now.identity);
  moved.offsets = List(rd_kafka_topic_partition_list_new(8));
  std::set<uint32_t> told;
  for (const PendingRow& row : rows) {
    const uint32_t partition = row.row.origin.partition;
    const auto ours = now.ours.find(partition);
    if (ours == now.ours.end() || !told.insert(partition).second) continue;
    auto* one = rd_kafka_topic_partition_list_add(moved.offsets.get(), source_.topic.c_str(),
                                                  static_cast<int32_t>(partition));
    one->offset = ours->second.offset;
    internal::set_metadata(*one, kafka::encode_metadata(ours->second));
  }
  return moved;
}

void Turns::delivered(std::span<const PendingRow> rows) {
  for (const PendingRow& row : rows) {
    uint64_t& arrived = arrived_[row.row.origin.partition];
    arrived = std::max(arrived, row.row.origin.position);
  }
}

}  // namespace qw::streams
