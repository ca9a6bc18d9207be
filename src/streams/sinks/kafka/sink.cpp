#include "streams/sinks/kafka/sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/fail_point.h"
#include "base/log.h"
#include "streams/connectors/kafka/config.h"
#include "streams/internal/kafka_client.h"
#include "streams/sinks/kafka/lease.h"
#include "streams/sinks/kafka/turns.h"

namespace qw::streams {
namespace {

using internal::KafkaPtr;
using ErrorPtr = KafkaPtr<rd_kafka_error_t>;
using List = KafkaPtr<rd_kafka_topic_partition_list_t>;

constexpr int kAbortMs = 5'000;  // then the next connection ends the transaction
constexpr int kSliceMs = 500;    // of a wait, after which a stop is looked for
constexpr int kStartMs = 3'000;  // a try to begin; the next one goes on from there

// The last row that is known to be in Kafka.
struct Position {
  uint64_t seq = 0;
  std::string action_id;
};

// How a transaction ended.
struct Outcome {
  bool committed = false;
  std::string reason;  // why not
  bool too_large = false;
  bool not_ours = false;  // the source is no member of its group any more
};

bool is_no_member(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
         code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
         code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
}

class KafkaSink final : public Sink {
 public:
  KafkaSink(const KafkaSinkConfig& config, const Clock& clock)
      : config_(config),
        clock_(clock),
        lease_({config.transactional_id,
                config.topic,
                config.owner,
                {{"bootstrap.servers", config.brokers}},
                config.client},
               clock) {
    if (config.source)
      turns_.emplace(*config.source, internal::KafkaSettings{{"bootstrap.servers", config.brokers}},
                     config.client, clock);
  }

  Result<Start> open(std::string_view) override {
    QW_TRY(connect());
    return Start{};
  }
  size_t batch_rows() const override { return config_.batch_rows; }
  Result<bool> look() override;
  Turn turn_of(const PendingRow& row) override {
    return shared(row) ? turns_->turn_of(row.row.origin) : Turn::kNow;
  }
  DeliveryReport deliver(std::span<const PendingRow> rows) override;
  Result<void> tick(int64_t) override {
    if (producer_) lease_.renew();
    return {};
  }
  void cancel() override { cancelled_ = true; }

 private:
  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self);
  static void on_error(rd_kafka_t*, int code, const char* reason, void* self);
  Result<void> connect();
  Result<Position> read_position() const;
  size_t arrived_before(std::span<const PendingRow> rows);
  bool shared(const PendingRow& row) const { return turns_ && turns_->covers(row); }
  Outcome transact(std::span<const PendingRow> rows);
  rd_kafka_resp_err_t produce(const OutboxRow& row);
  ErrorPtr move_position(const PendingRow& last, int64_t until_ns);
  ErrorPtr move_turns(std::span<const PendingRow> rows, int64_t until_ns, bool& member);
  ErrorPtr move(const Turns::List& offsets, const Turns::Group& group, int64_t until_ns);
  Outcome failed(const ErrorPtr& error, const char* doing);
  Outcome give_up(std::string reason);
  // Calls `work` with a short limit again and again, as the client's library allows for calls of
  // transactions, until it is done, failed for good, the time is over or the sink is cancelled.
  template <class Work>
  ErrorPtr in_slices(int64_t until_ns, const Work& work) const {
    while (true) {
      const int64_t left_ms = (until_ns - clock_.monotonic_ns()) / 1'000'000;
      ErrorPtr error(work(static_cast<int>(std::clamp<int64_t>(left_ms, 1, kSliceMs))));
      if (!error || rd_kafka_error_is_retriable(error.get()) == 0 || left_ms <= 0 || cancelled_)
        return error;
    }
  }
  ErrorPtr end_unwritten();
  std::string where() const { return fmt::format("{} at {}", config_.topic, config_.brokers); }

  const KafkaSinkConfig config_;
  const Clock& clock_;
  Lease lease_;
  KafkaPtr<rd_kafka_t> starting_;  // not ready for transactions yet
  KafkaPtr<rd_kafka_t> producer_;
  std::atomic<bool> cancelled_{false};
  Position position_;           // of rows without a shared origin
  std::optional<Turns> turns_;  // of the others
  bool waits_ = false;          // for a broker, which was said
  bool too_large_ = false;      // a row of the transaction under way
  uint64_t alone_until_ = 0;    // rows up to this seq go one by one
};

void KafkaSink::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
  auto& sink = *static_cast<KafkaSink*>(self);
  if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) sink.too_large_ = true;
}

// A broker that is away is said once, and when it is back.
void KafkaSink::on_error(rd_kafka_t*, int code, const char* reason, void* self) {
  auto& sink = *static_cast<KafkaSink*>(self);
  if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || sink.waits_) return;
  sink.waits_ = true;
  const Error error =
      internal::kafka_error(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, sink.where(), reason);
  log::warning("sink.kafka", "waiting: {}", error.to_string());
}

// Fences off earlier writers, ends what they left open, and learns what has arrived.
Result<void> KafkaSink::connect() {
  if (const auto held = lease_.take(); !held.ok()) {
    if (held.error().code == ErrorCode::kConflict) return held.error();
    // The first that is asked: a broker that is away is said as for all that follows.
    on_error(nullptr, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, held.error().message.c_str(), this);
    return internal::kafka_error(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, where(),
                                 held.error().message.c_str());
  }
  if (!starting_) {
    const internal::KafkaSettings ours = {
        {"bootstrap.servers", config_.brokers},
        {"transactional.id", config_.transactional_id},
        {"message.timeout.ms", std::to_string(config_.timeout_ms)},
        // What a killed member left open keeps the next owner of its partitions waiting.
        {"transaction.timeout.ms",
         std::to_string(turns_ ? config_.timeout_ms : std::max(60'000, config_.timeout_ms))},
        {"partitioner", "murmur2_random"}};  // as the Java client places a key
    QW_ASSIGN(auto conf, internal::kafka_conf(ours, config_.client));
    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
    rd_kafka_conf_set_error_cb(conf.get(), on_error);
    QW_ASSIGN(starting_, internal::kafka_client(RD_KAFKA_PRODUCER, std::move(conf)));
  }
  const ErrorPtr error = in_slices(
      clock_.monotonic_ns() + int64_t{kStartMs} * 1'000'000,
      [&](int limit_ms) { return rd_kafka_init_transactions(starting_.get(), limit_ms); });
  rd_kafka_poll(starting_.get(), 0);  // tells of absent brokers
  if (error) {
    const Error ours = internal::kafka_error(rd_kafka_error_code(error.get()), where(),
                                             rd_kafka_error_string(error.get()));
    if (rd_kafka_error_is_retriable(error.get()) == 0) starting_.reset();
    return ours;
  }
  QW_ASSIGN(position_, read_position());
  producer_ = std::move(starting_);
  return {};
}

Result<Position> KafkaSink::read_position() const {
  const internal::KafkaSettings ours = {{"bootstrap.servers", config_.brokers},
                                        {"group.id", config_.transactional_id},
                                        {"isolation.level", "read_committed"}};
  QW_ASSIGN(auto conf, internal::kafka_conf(ours, config_.client));
  QW_ASSIGN(const auto consumer, internal::kafka_client(RD_KAFKA_CONSUMER, std::move(conf)));
  const List offsets(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(offsets.get(), config_.topic.c_str(), 0);
  if (const auto code =
          rd_kafka_committed(consumer.get(), offsets.get(), std::min(config_.timeout_ms, kStartMs));
      code != 0)
    return internal::kafka_error(code, where());
  const auto& found = offsets->elems[0];
  // A topic that is not there yet has no position either.
  if (found.err != 0 && found.err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    return internal::kafka_error(found.err, where());
  Position position;
  if (found.offset > 0) position.seq = static_cast<uint64_t>(found.offset);
  if (found.metadata != nullptr)
    position.action_id.assign(static_cast<const char*>(found.metadata), found.metadata_size);
  return position;
}

// How many rows from the front a transaction has brought already whose end was not recorded here.
size_t KafkaSink::arrived_before(std::span<const PendingRow> rows) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const PendingRow& row) {
    return row.seq.value() == position_.seq;
  });
  if (found == rows.end()) return 0;
  // A position that another data folder left means other rows under the same numbers.
  if (found->row.action_id == position_.action_id)
    return static_cast<size_t>(found - rows.begin()) + 1;
  log::warning("sink.kafka", "{}: the position of '{}' is of another data folder: not used",
               where(), config_.transactional_id);
  position_ = {};
  return 0;
}

rd_kafka_resp_err_t KafkaSink::produce(const OutboxRow& row) {
  return rd_kafka_producev(producer_.get(), RD_KAFKA_V_TOPIC(config_.topic.c_str()),
                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(row.key.data(), row.key.size()),
                           RD_KAFKA_V_VALUE(const_cast<char*>(row.json.data()), row.json.size()),
                           RD_KAFKA_V_HEADER("action-id", row.action_id.data(),
                                             static_cast<ssize_t>(row.action_id.size())),
                           RD_KAFKA_V_END);
}

ErrorPtr KafkaSink::move_position(const PendingRow& last, int64_t until_ns) {
  const List offsets(rd_kafka_topic_partition_list_new(1));
  auto* offset = rd_kafka_topic_partition_list_add(offsets.get(), config_.topic.c_str(), 0);
  offset->offset = static_cast<int64_t>(last.seq.value());
  internal::set_metadata(*offset, last.row.action_id);
  return move(offsets,
              Turns::Group(rd_kafka_consumer_group_metadata_new(config_.transactional_id.c_str())),
              until_ns);
}

ErrorPtr KafkaSink::move(const Turns::List& offsets, const Turns::Group& group, int64_t until_ns) {
  return in_slices(until_ns, [&](int limit_ms) {
    return rd_kafka_send_offsets_to_transaction(producer_.get(), offsets.get(), group.get(),
                                                limit_ms);
  });
}

// What has arrived first: whoever asks for that after the source's group refused us, or let us pass
// and still waits for the end of this transaction, knows all there is.
ErrorPtr KafkaSink::move_turns(std::span<const PendingRow> rows, int64_t until_ns, bool& member) {
  const Turns::Moved arrival = turns_->arrival(rows);
  if (ErrorPtr error = move(arrival.offsets, arrival.group, until_ns)) return error;
  fail_point("kafka_sink.before_membership");
  const Turns::Moved membership = turns_->membership(rows);
  member = membership.group != nullptr && membership.offsets->cnt > 0;
  return member ? move(membership.offsets, membership.group, until_ns) : nullptr;
}

// Whoever was cancelled leaves the end of the transaction to the next start.
ErrorPtr KafkaSink::end_unwritten() {
  return in_slices(clock_.monotonic_ns() + int64_t{kAbortMs} * 1'000'000, [&](int limit_ms) {
    return rd_kafka_abort_transaction(producer_.get(), limit_ms);
  });
}

// Leaves the transaction. What became of it is asked of the broker before anything is sent again.
Outcome KafkaSink::give_up(std::string reason) {
  producer_.reset();
  if (turns_) turns_->forget();
  return {false, std::move(reason)};
}

Outcome KafkaSink::failed(const ErrorPtr& error, const char* doing) {
  const auto code = rd_kafka_error_code(error.get());
  std::string reason =
      code == RD_KAFKA_RESP_ERR__FENCED
          ? fmt::format(
                "{}: another process writes as '{}': stop it, or name one of the "
                "applications differently",
                where(), config_.transactional_id)
          : fmt::format("{} {}: {}", doing, where(), rd_kafka_error_string(error.get()));
  if (rd_kafka_error_is_fatal(error.get()) != 0) return give_up(std::move(reason));
  // Where the end of a commit is not known there is nothing to abort any more, which is an error.
  if (end_unwritten()) return give_up(std::move(reason));
  rd_kafka_poll(producer_.get(), 0);  // what became of each row
  return {false, std::move(reason), too_large_, is_no_member(code)};
}

Outcome KafkaSink::transact(std::span<const PendingRow> rows) {
  const int64_t until_ns = clock_.monotonic_ns() + int64_t{config_.timeout_ms} * 1'000'000;
  too_large_ = false;
  if (const ErrorPtr error(rd_kafka_begin_transaction(producer_.get())); error)
    return failed(error, "cannot begin to write to");
  for (const PendingRow& row : rows) {
    const auto code = produce(row.row);
    if (code == 0) continue;
    too_large_ = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    if (const ErrorPtr aborted = end_unwritten())
      return give_up(rd_kafka_error_string(aborted.get()));
    return {false, rd_kafka_err2str(code), too_large_};
  }
  const bool ours = shared(rows.front());
  bool member = true;
  const ErrorPtr moved =
      ours ? move_turns(rows, until_ns, member) : move_position(rows.back(), until_ns);
  if (moved) return failed(moved, "cannot keep the position in");
  if (!member) {
    if (const ErrorPtr aborted = end_unwritten())
      return give_up(rd_kafka_error_string(aborted.get()));
    return {false, "", false, true};
  }
  fail_point("kafka_sink.before_commit");
  const ErrorPtr error = in_slices(until_ns, [&](int limit_ms) {
    return rd_kafka_commit_transaction(producer_.get(), limit_ms);
  });
  if (error) return failed(error, "cannot commit to");
  if (ours)
    turns_->delivered(rows);
  else
    position_ = {rows.back().seq.value(), rows.back().row.action_id};
  if (waits_) log::info("sink.kafka", "{}: back again", where());
  waits_ = false;
  return {true, ""};
}

Result<bool> KafkaSink::look() {
  if (!turns_) return false;
  // What has arrived is known once what was left open is ended, and not before.
  if (!producer_) QW_TRY(connect());
  return turns_->look();
}

DeliveryReport KafkaSink::deliver(std::span<const PendingRow> rows) {
  if (!producer_)
    if (auto connected = connect(); !connected.ok())
      return {0, Retry{0, connected.error().to_string()}};
  const bool ours = shared(rows.front());
  rows = rows.first(static_cast<size_t>(
      std::ranges::find_if(rows, [&](const auto& row) { return shared(row) != ours; }) -
      rows.begin()));
  if (!ours)
    if (const size_t arrived = arrived_before(rows); arrived > 0) return {arrived, Delivered{}};
  if (rows.front().seq.value() <= alone_until_) rows = rows.first(1);
  Outcome outcome = transact(rows);
  if (outcome.committed) return {rows.size(), Delivered{}};
  if (outcome.not_ours) {
    log::info("sink.kafka", "{}: the source's partitions change hands; rows wait", where());
    turns_->refused();
    return {0, Delivered{}};
  }
  if (!outcome.too_large) return {0, Retry{0, std::move(outcome.reason)}};
  if (rows.size() == 1) return {0, Refused{fmt::format("{}: {}", where(), outcome.reason)}};
  // The broker counts the whole batch and blames all of it: each row is tried alone.
  alone_until_ = rows.back().seq.value();
  return deliver(rows);
}

}  // namespace

Result<std::unique_ptr<Sink>> make_kafka_sink(const KafkaSinkConfig& config, const Clock& clock) {
  const auto bad = [](const char* message, const char* mend) {
    return Error{ErrorCode::kBadInput, message, "kafka", mend};
  };
  if (config.brokers.empty()) return bad("no brokers are given", "write host:port");
  if (config.topic.empty()) return bad("no topic is given", "");
  if (config.transactional_id.empty()) return bad("no transactional id is given", "");
  if (config.batch_rows == 0 || config.timeout_ms < 1) return bad("a limit is not above 0", "");
  for (const auto& [name, value] : config.client) QW_TRY(kafka::check_client_setting(name, value));
  return std::unique_ptr<Sink>(std::make_unique<KafkaSink>(config, clock));
}

}  // namespace qw::streams
