// Which rows a Kafka sink delivers of records that the members of a group share.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "streams/connectors/kafka/member.h"
#include "streams/internal/kafka_client.h"
#include "streams/sink.h"
#include "streams/sinks/configs.h"

namespace qw::streams {

// Of each partition the position of the last record whose row has arrived is an offset of a group
// that all members write, in the transaction that brings the row. The same transaction tells the
// source's group a place, as the member that the source is: the broker refuses whoever is none any
// more. So of two members that have decided on a record one delivers, whichever has the partition;
// the other finds that the row has arrived. Owned by a sink, and used on its thread.
class Turns {
 public:
  using List = internal::KafkaPtr<rd_kafka_topic_partition_list_t>;
  using Group = internal::KafkaPtr<rd_kafka_consumer_group_metadata_t>;
  // Offsets that a transaction moves, and in whose name.
  struct Moved {
    List offsets;
    Group group;
  };

  Turns(SharedSource source, internal::KafkaSettings broker,
        std::map<std::string, std::string> client, const Clock& clock)
      : source_(std::move(source)),
        broker_(std::move(broker)),
        client_settings_(std::move(client)),
        clock_(clock) {}

  bool covers(const PendingRow& row) const { return row.row.origin.stream == source_.stream; }
  // As Sink's, of rows that it covers. Asks the broker, at most once a second.
  bool look();
  Turn turn_of(const RowOrigin& origin);

  // For the transaction that brings these rows. Nothing: the source is in no group any more.
  Moved arrival(std::span<const PendingRow> rows) const;
  Moved membership(std::span<const PendingRow> rows) const;
  // They have arrived.
  void delivered(std::span<const PendingRow> rows);
  // The broker says that the source is no member any more: nothing is ours until it is one again.
  void refused() { turn_.ours.clear(); }
  // What has arrived must be asked again before anything is delivered.
  void forget() { arrived_.clear(); }

 private:
  Result<bool> ask();

  const SharedSource source_;
  const internal::KafkaSettings broker_;
  const std::map<std::string, std::string> client_settings_;
  const Clock& clock_;
  internal::KafkaPtr<rd_kafka_t> client_;
  kafka::GroupMember::Turn turn_;
  std::map<uint32_t, uint64_t> arrived_;  // of partitions that were asked about
  std::set<uint32_t> aside_;              // partitions of rows that were put aside
  int64_t asked_ns_ = 0;
};

}  // namespace qw::streams
