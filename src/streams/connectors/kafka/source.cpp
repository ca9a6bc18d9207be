#include "streams/connectors/kafka/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fail_point.h"
#include "base/log.h"
#include "streams/decoders/decoder.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
namespace {

using internal::KafkaPtr;
using List = KafkaPtr<rd_kafka_topic_partition_list_t>;

constexpr int64_t kUpkeepNs = 1'000'000'000;
constexpr int kAskMs = 5'000;                    // for the group's offsets, and to commit them
constexpr int kAnswerMs = 3'000;                 // for its coordinator, at a stop
constexpr int64_t kLeaveNs = 10'000'000'000;     // to leave the group, at a stop
constexpr size_t kMostHeld = kMaxBatchRows / 2;  // while the pipeline is full
constexpr size_t kMostAtOnce = 2'000;            // messages per round of fetching

std::optional<int64_t> offset_of(const std::string& resume) {
  int64_t offset = 0;
  const auto parsed = std::from_chars(resume.data(), resume.data() + resume.size(), offset);
  if (parsed.ec != std::errc{} || parsed.ptr != resume.data() + resume.size() || offset < 0)
    return std::nullopt;
  return offset;
}

class KafkaSource final : public Source {
 public:
  KafkaSource(const Config& config, const DecodeOptions& decode,
              std::unique_ptr<RecordDecoder> decoder, const Clock& clock)
      : config_(config), decode_(decode), decoder_(std::move(decoder)), clock_(clock) {}
  ~KafkaSource() override { close(); }

  const std::shared_ptr<const schema::Schema>& schema() const override { return decode_.schema; }
  Result<void> open(const SavedPositions& saved, SourceHost& host) override;
  Result<SourceBatch> poll(int64_t wait_us) override;
  bool caught_up() const override;
  void serve() override;
  void committed(uint32_t partition, const std::string& resume) override;
  SourceStatus status() const override;
  void close() override;

 private:
  static void on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* list, void* self);
  static void on_error(rd_kafka_t*, int code, const char* reason, void* self);
  void assign(rd_kafka_topic_partition_list_t* list);
  void revoke(rd_kafka_topic_partition_list_t* list);
  void choose_starts(rd_kafka_topic_partition_list_t* list);
  void commit_durable(const std::vector<uint32_t>* only, bool wait);
  void fetch(int64_t wait_us);
  void take(const rd_kafka_message_t& message);
  void upkeep();
  bool coordinator_answers();
  bool leave();
  void note(std::optional<Error> trouble);
  std::string where() const { return fmt::format("{} at {}", config_.topic, config_.brokers); }

  const Config config_;
  const DecodeOptions decode_;
  std::unique_ptr<RecordDecoder> decoder_;
  const Clock& clock_;
  SourceHost* host_ = nullptr;
  KafkaPtr<rd_kafka_t> client_;
  std::map<uint32_t, SourceBatch> ready_;  // fetched and decoded, not handed out
  uint32_t last_partition_ = 0;            // whose rows were handed out last
  bool assigned_once_ = false;
  std::map<uint32_t, int64_t> read_to_;  // offset behind the last row handed out or ready
  int64_t last_upkeep_ns_ = 0;
  bool in_doubt_ = false;  // a connection broke since a broker answered

  mutable std::mutex mutex_;             // guards what follows
  std::map<uint32_t, int64_t> durable_;  // offset behind what is durable here
  std::map<uint32_t, int64_t> told_;     // ... of it, what the group was told
  std::vector<uint32_t> mine_;
  SourceStatus status_;
};

void KafkaSource::note(std::optional<Error> trouble) {
  std::lock_guard lock(mutex_);
  if (status_.state == SourceState::kClosed) return;
  if (trouble && !status_.trouble)
    log::warning("source.kafka", "waiting: {}", trouble->to_string());
  if (!trouble && status_.trouble) log::info("source.kafka", "{}: back again", where());
  status_.state = trouble ? SourceState::kWaiting : SourceState::kRunning;
  status_.retry_at_us = trouble ? clock_.wall_us() + kUpkeepNs / 1000 : 0;
  status_.trouble = std::move(trouble);
  status_.detail = fmt::format("{} partitions of {}", mine_.size(), config_.topic);
}

Result<void> KafkaSource::open(const SavedPositions& saved, SourceHost& host) {
  host_ = &host;
  for (const auto& [partition, resume] : saved) {
    const auto offset = offset_of(resume);
    if (!offset)
      return Error{ErrorCode::kCorrupt, "the saved offset is damaged", where(),
                   "restore the data folder from a copy"};
    durable_[partition] = *offset;
  }
  const internal::KafkaSettings ours = {
      {"bootstrap.servers", config_.brokers},
      {"group.id", config_.group},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", config_.start == Start::kEarliest ? "earliest" : "latest"},
      {"partition.assignment.strategy", "range,roundrobin"},
      {"session.timeout.ms", std::to_string(config_.session_timeout_ms)},
      {"queued.max.messages.kbytes", std::to_string(config_.max_queued_kbytes)},
      {"topic.metadata.refresh.interval.ms", "10000"}};
  QW_ASSIGN(auto conf, internal::kafka_conf(ours, config_.client));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), on_rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  QW_ASSIGN(client_, internal::kafka_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(client_.get());
  const List topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), config_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  if (const auto code = rd_kafka_subscribe(client_.get(), topics.get()); code != 0)
    return internal::kafka_error(code, where());
  last_upkeep_ns_ = clock_.monotonic_ns();
  return {};
}

void KafkaSource::on_error(rd_kafka_t*, int code, const char* reason, void* self) {
  auto& source = *static_cast<KafkaSource*>(self);
  const auto kind = static_cast<rd_kafka_resp_err_t>(code);
  // One broker of several going away is no trouble of ours: upkeep asks whether one answers.
  if (kind == RD_KAFKA_RESP_ERR__TRANSPORT) {
    source.in_doubt_ = true;
    return;
  }
  source.note(internal::kafka_error(kind, source.where(), reason));
}

void KafkaSource::on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code,
                               rd_kafka_topic_partition_list_t* list, void* self) {
  auto& source = *static_cast<KafkaSource*>(self);
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
    source.assign(list);
  else
    source.revoke(list);
}

// Each partition begins at the greater of our place and the group's.
void KafkaSource::choose_starts(rd_kafka_topic_partition_list_t* list) {
  const List group(rd_kafka_topic_partition_list_copy(list));
  const auto code = rd_kafka_committed(client_.get(), group.get(), kAskMs);
  if (code != 0) log::warning("source.kafka", "{}: {}", where(), rd_kafka_err2str(code));
  std::lock_guard lock(mutex_);
  for (int i = 0; i < list->cnt; ++i) {
    auto& mine = list->elems[i];
    const auto saved = durable_.find(static_cast<uint32_t>(mine.partition));
    const auto* theirs =
        rd_kafka_topic_partition_list_find(group.get(), mine.topic, mine.partition);
    int64_t offset = RD_KAFKA_OFFSET_INVALID;  // the group's, else config.start
    if (code == 0 && theirs != nullptr && theirs->offset >= 0) offset = theirs->offset;
    if (saved != durable_.end()) offset = std::max(offset, saved->second);
    mine.offset = offset;
  }
}

void KafkaSource::assign(rd_kafka_topic_partition_list_t* list) {
  assigned_once_ = true;
  choose_starts(list);
  const bool cooperative =
      std::string_view(rd_kafka_rebalance_protocol(client_.get())) == "COOPERATIVE";
  if (cooperative)
    KafkaPtr<rd_kafka_error_t>(rd_kafka_incremental_assign(client_.get(), list));
  else
    rd_kafka_assign(client_.get(), list);
  {
    std::lock_guard lock(mutex_);
    if (!cooperative) mine_.clear();
    for (int i = 0; i < list->cnt; ++i)
      mine_.push_back(static_cast<uint32_t>(list->elems[i].partition));
  }
  note(std::nullopt);
}

void KafkaSource::revoke(rd_kafka_topic_partition_list_t* list) {
  std::vector<uint32_t> partitions;
  for (int i = 0; i < list->cnt; ++i)
    partitions.push_back(static_cast<uint32_t>(list->elems[i].partition));
  for (const uint32_t partition : partitions) {
    ready_.erase(partition);  // never handed out: the next owner reads it
    read_to_.erase(partition);
  }
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    host_->lost(partitions);
  } else if (!partitions.empty()) {
    if (auto flushed = host_->flush(partitions, config_.flush_timeout_ms); !flushed.ok())
      log::warning("source.kafka", "partitions given up before all was durable: {}",
                   flushed.error().to_string());
    commit_durable(&partitions, true);
  }
  {
    std::lock_guard lock(mutex_);
    std::erase_if(mine_, [&](uint32_t partition) {
      return std::find(partitions.begin(), partitions.end(), partition) != partitions.end();
    });
    for (const uint32_t partition : partitions) {
      status_.lag_records.erase(partition);
      told_.erase(partition);
    }
    status_.detail = fmt::format("{} partitions of {}", mine_.size(), config_.topic);
  }
  if (std::string_view(rd_kafka_rebalance_protocol(client_.get())) == "COOPERATIVE")
    KafkaPtr<rd_kafka_error_t>(rd_kafka_incremental_unassign(client_.get(), list));
  else
    rd_kafka_assign(client_.get(), nullptr);
}

// Tells the group what is durable here, of these partitions or of all that are ours.
void KafkaSource::commit_durable(const std::vector<uint32_t>* only, bool wait) {
  const List offsets(rd_kafka_topic_partition_list_new(8));
  {
    std::lock_guard lock(mutex_);
    for (const uint32_t partition : only != nullptr ? *only : mine_) {
      const auto durable = durable_.find(partition);
      const auto told = told_.find(partition);
      if (durable == durable_.end() || (told != told_.end() && told->second >= durable->second))
        continue;
      rd_kafka_topic_partition_list_add(offsets.get(), config_.topic.c_str(),
                                        static_cast<int32_t>(partition))
          ->offset = durable->second;
      told_[partition] = durable->second;
    }
  }
  if (offsets->cnt == 0) return;
  fail_point("kafka.before_offsets");
  if (!wait) {
    rd_kafka_commit(client_.get(), offsets.get(), 1);
    fail_point("kafka.after_offsets");
    return;
  }
  const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_.get()));
  rd_kafka_commit_queue(client_.get(), offsets.get(), queue.get(), nullptr, nullptr);
  const KafkaPtr<rd_kafka_event_t> done(rd_kafka_queue_poll(queue.get(), kAskMs));
  if (!done || rd_kafka_event_error(done.get()) != 0)
    log::warning("source.kafka", "{}: the group's offsets could not be committed", where());
}

void KafkaSource::committed(uint32_t partition, const std::string& resume) {
  const auto offset = offset_of(resume);
  if (!offset) return;
  std::lock_guard lock(mutex_);
  int64_t& durable = durable_[partition];
  durable = std::max(durable, *offset);
}

void KafkaSource::take(const rd_kafka_message_t& message) {
  const auto partition = static_cast<uint32_t>(message.partition);
  auto [found, fresh] = ready_.try_emplace(partition, decode_.schema);
  SourceBatch& batch = found->second;
  batch.partition = partition;
  batch.resume = std::to_string(message.offset + 1);
  read_to_[partition] = message.offset + 1;
  if (message.payload == nullptr) return;  // a tombstone says nothing about an event
  const std::string_view record(static_cast<const char*>(message.payload), message.len);
  auto decoded = decoder_->decode(record, batch.rows);
  if (decoded.ok()) {
    batch.positions.push_back(static_cast<uint64_t>(message.offset) + 1);
    return;
  }
  batch.rejected.push_back(
      reject(fmt::format("{}[{}]@{}", config_.topic, partition, message.offset),
             decoded.error().message, record));
}

// Fills ready_ with what has arrived; callbacks of the group run inside.
void KafkaSource::fetch(int64_t wait_us) {
  int wait_ms = static_cast<int>(std::min<int64_t>((wait_us + 999) / 1000, 60'000));
  for (size_t count = 0; count < kMostAtOnce; ++count) {
    const KafkaPtr<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), wait_ms));
    if (!message) return;
    wait_ms = 0;
    if (message->err != 0)
      note(internal::kafka_error(message->err, where(), rd_kafka_message_errstr(message.get())));
    else
      take(*message);
  }
}

// Once a second: the group's offsets, the lag, and whether an absent broker is back.
void KafkaSource::upkeep() {
  const int64_t now_ns = clock_.monotonic_ns();
  if (now_ns - last_upkeep_ns_ < kUpkeepNs) return;
  last_upkeep_ns_ = now_ns;
  bool troubled = false;
  {
    std::lock_guard lock(mutex_);
    troubled = status_.trouble.has_value();
    for (const auto& [partition, offset] : read_to_) {
      int64_t low = 0, high = 0;
      if (rd_kafka_get_watermark_offsets(client_.get(), config_.topic.c_str(),
                                         static_cast<int32_t>(partition), &low, &high) == 0 &&
          high >= 0)
        status_.lag_records[partition] = std::max<int64_t>(0, high - offset);
    }
  }
  commit_durable(nullptr, false);
  const bool doubted = std::exchange(in_doubt_, false);
  if (!troubled && !doubted) return;
  const rd_kafka_metadata_t* metadata = nullptr;
  if (rd_kafka_metadata(client_.get(), 0, nullptr, &metadata, troubled ? 200 : 1'000) != 0) {
    if (!troubled) note(internal::kafka_error(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, where()));
    return;
  }
  bool exists = false;
  for (int i = 0; i < metadata->topic_cnt; ++i)
    exists = exists || config_.topic == metadata->topics[i].topic;
  rd_kafka_metadata_destroy(metadata);
  {
    std::lock_guard lock(mutex_);
    exists = exists || !mine_.empty();
  }
  if (troubled && exists) note(std::nullopt);
}

// Answers the group. Messages that come meanwhile are held, up to a limit; beyond it the group
// waits.
void KafkaSource::serve() {
  if (!client_) return;
  size_t held = 0;
  for (const auto& [partition, batch] : ready_) held += batch.rows.rows() + batch.rejected.size();
  if (held < kMostHeld) fetch(0);
  upkeep();
}

Result<SourceBatch> KafkaSource::poll(int64_t wait_us) {
  if (!client_) return SourceBatch(decode_.schema);
  upkeep();
  if (ready_.empty()) fetch(wait_us);
  std::array<char, 256> reason{};
  if (const auto fatal = rd_kafka_fatal_error(client_.get(), reason.data(), reason.size());
      fatal != 0)
    return Error{ErrorCode::kInternal, reason.data(), where(), "restart the process"};
  if (ready_.empty()) return SourceBatch(decode_.schema);
  // Partitions take turns.
  auto turn = ready_.upper_bound(last_partition_);
  if (turn == ready_.end()) turn = ready_.begin();
  last_partition_ = turn->first;
  SourceBatch batch = std::move(turn->second);
  ready_.erase(turn);
  std::lock_guard lock(mutex_);
  status_.rows += batch.rows.rows();
  status_.rejected += batch.rejected.size();
  return batch;
}

// A fetch that has come in is in our queue at once: where nothing was read of a partition although
// its end is known, nothing was there.
bool KafkaSource::caught_up() const {
  if (!client_ || !ready_.empty() || !assigned_once_) return false;
  const std::lock_guard lock(mutex_);
  if (status_.trouble) return false;
  return std::all_of(mine_.begin(), mine_.end(), [this](uint32_t partition) {
    int64_t low = 0, high = 0;
    const auto read = read_to_.find(partition);
    return rd_kafka_get_watermark_offsets(client_.get(), config_.topic.c_str(),
                                          static_cast<int32_t>(partition), &low, &high) == 0 &&
           high >= 0 && (read == read_to_.end() || read->second >= high);
  });
}

SourceStatus KafkaSource::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

// Whether the group's coordinator answers at once.
bool KafkaSource::coordinator_answers() {
  const List asked(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(asked.get(), config_.topic.c_str(), 0);
  return rd_kafka_committed(client_.get(), asked.get(), kAnswerMs) == 0;
}

// Gives back the partitions (flushes, commits) and says goodbye to the group. Not to a coordinator
// that is silent: rd_kafka_consumer_close waits for it for minutes, and librdkafka 2.0 was seen to
// crash over it. What is durable here is not read again, whatever the group was told.
bool KafkaSource::leave() {
  if (!coordinator_answers()) return false;
  const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_.get()));
  const KafkaPtr<rd_kafka_error_t> refused(
      rd_kafka_consumer_close_queue(client_.get(), queue.get()));
  const int64_t until_ns = clock_.monotonic_ns() + kLeaveNs;
  while (!refused && rd_kafka_consumer_closed(client_.get()) == 0) {
    if (clock_.monotonic_ns() >= until_ns) return false;
    rd_kafka_queue_poll_callback(queue.get(), 100);  // revoke() runs inside
  }
  return !refused;
}

void KafkaSource::close() {
  if (!client_) return;
  if (!leave())
    log::warning("source.kafka",
                 "{}: the group's coordinator does not answer; the group finds out by itself that "
                 "this member is gone, and nothing is read twice",
                 where());
  client_.reset();
  std::lock_guard lock(mutex_);
  status_.state = SourceState::kClosed;
}

}  // namespace

Result<std::unique_ptr<Source>> make_kafka_source(const Config& config, const DecodeOptions& decode,
                                                  const Clock& clock) {
  QW_TRY(check(config));
  QW_ASSIGN(auto decoder, make_decoder(decode));
  if (decoder->needs_header())
    return Error{ErrorCode::kBadInput, "messages have no CSV header", "kafka",
                 "name the columns with `columns:`"};
  return std::unique_ptr<Source>(
      std::make_unique<KafkaSource>(config, decode, std::move(decoder), clock));
}

}  // namespace qw::streams::kafka
