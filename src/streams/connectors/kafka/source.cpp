#include "streams/connectors/kafka/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "streams/connectors/kafka/cursor.h"
#include "streams/connectors/kafka/finder.h"
#include "streams/connectors/kafka/lookup.h"
#include "streams/connectors/kafka/member.h"
#include "streams/connectors/kafka/offsets.h"
#include "streams/decoders/decoder.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
namespace {

using internal::KafkaPtr;
using List = KafkaPtr<rd_kafka_topic_partition_list_t>;

constexpr int64_t kUpkeepNs = 1'000'000'000;
constexpr int kAskMs = 5'000;                    // for the group's offsets, and to commit them
constexpr int kAnswerMs = 3'000;                 // for its coordinator, at a stop
constexpr uint32_t kNoPartition = 1'000'000;     // whose place hangs on nobody's transaction
constexpr size_t kMostHeld = kMaxBatchRows / 2;  // while the pipeline is full
constexpr size_t kMostAtOnce = 2'000;            // messages per round of fetching

class KafkaSource final : public Source {
 public:
  KafkaSource(const Config& config, const DecodeOptions& decode,
              std::unique_ptr<RecordDecoder> decoder, const Clock& clock)
      : config_(config),
        decode_(decode),
        decoder_(std::move(decoder)),
        clock_(clock),
        offsets_(config.topic) {}
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
  static int on_statistics(rd_kafka_t*, char* json, size_t size, void* self);
  static void on_offsets(rd_kafka_t*, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t* list, void* self);
  void assign(const rd_kafka_topic_partition_list_t& list);
  void revoke(const rd_kafka_topic_partition_list_t& list);
  Result<bool> find_places();
  void begin(uint32_t partition, Cursor& cursor, const Begin& begin);
  void rebuild(uint32_t partition, Cursor& cursor, const Begin& begin);
  void read_assigned();
  void pause(bool wanted);
  Places tellable(const std::set<uint32_t>& partitions) const;
  void commit_durable(const std::set<uint32_t>* only);
  void fetch(int64_t wait_us);
  void take(const rd_kafka_message_t& message);
  bool is_expected(const rd_kafka_message_t& message, uint32_t partition, Cursor& cursor);
  void settle();
  void upkeep();
  void look_for_broker();
  bool leave();
  int64_t flush_limit_ms() const;
  void note(std::optional<Error> trouble);
  void describe();
  Lookup ask() const { return {client_.get(), config_.topic, kAskMs}; }
  std::string where() const { return fmt::format("{} at {}", config_.topic, config_.brokers); }

  const Config config_;
  const DecodeOptions decode_;
  std::unique_ptr<RecordDecoder> decoder_;
  const Clock& clock_;
  SourceHost* host_ = nullptr;
  KafkaPtr<rd_kafka_t> client_;
  Cursors cursors_;                        // of every partition that is ours
  std::map<uint32_t, SourceBatch> ready_;  // fetched and decoded, not handed out
  uint32_t last_partition_ = 0;            // whose rows were handed out last
  bool assigned_once_ = false;
  bool drained_ = false;  // the last round of fetching left nothing that had come in
  bool paused_ = false;
  bool went_ = false;  // the topic, or partitions of it, were deleted
  int64_t last_upkeep_ns_ = 0;
  std::optional<int64_t> leave_by_ns_;  // while it leaves the group
  int64_t assigned_us_ = 0;             // statistics from before say nothing of what is read now
  bool in_doubt_ = false;               // a connection broke since a broker answered
  std::string doubt_;                   // what librdkafka made of it
  GroupOffsets offsets_;
  mutable std::mutex mutex_;  // guards what follows
  SourceStatus status_;
};

void KafkaSource::note(std::optional<Error> trouble) {
  went_ = went_ || (trouble && trouble->code == ErrorCode::kNotFound);
  std::lock_guard lock(mutex_);
  if (status_.state == SourceState::kClosed) return;
  const bool news = trouble && (!status_.trouble || internal::reason_of(*status_.trouble) !=
                                                        internal::reason_of(*trouble));
  if (news) log::warning("source.kafka", "waiting: {}", trouble->to_string());
  if (!trouble && status_.trouble) log::info("source.kafka", "{}: back again", where());
  status_.state = trouble ? SourceState::kWaiting : SourceState::kRunning;
  status_.retry_at_us = trouble ? clock_.wall_us() + kUpkeepNs / 1000 : 0;
  status_.trouble = std::move(trouble);
  describe();
}

// Under the mutex.
void KafkaSource::describe() {
  const size_t mine = status_.owned ? status_.owned->size() : 0;
  status_.detail = fmt::format("{} partitions of {}", mine, config_.topic);
  status_.rebuilding = left_to_rebuild(cursors_);
  if (status_.rebuilding > 0)
    status_.detail += fmt::format(
        "; {} records that others decided are still read for what is remembered of them",
        status_.rebuilding);
}

Result<void> KafkaSource::open(const SavedPositions& saved, SourceHost& host) {
  host_ = &host;
  status_.owned.emplace();
  if (auto restored = offsets_.restore(saved); !restored.ok()) {
    Error error = restored.error();
    error.where = where();
    return error;
  }
  const internal::KafkaSettings ours = {
      {"bootstrap.servers", config_.brokers},
      {"group.id", config_.group},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"isolation.level", "read_committed"},
      {"auto.offset.reset", "error"},  // places are chosen here, never in passing
      {"partition.assignment.strategy", "range,roundrobin"},
      {"session.timeout.ms", std::to_string(config_.session_timeout_ms)},
      {"statistics.interval.ms", "500"},
      {"queued.max.messages.kbytes", std::to_string(config_.max_queued_kbytes)},
      {"topic.metadata.refresh.interval.ms", "10000"}};
  QW_ASSIGN(auto conf, internal::kafka_conf(ours, config_.client));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), on_rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  rd_kafka_conf_set_stats_cb(conf.get(), on_statistics);
  rd_kafka_conf_set_offset_commit_cb(conf.get(), on_offsets);
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
    source.doubt_ = internal::hint_of(reason);
    return;
  }
  if (kind == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !source.doubt_.empty())
    reason = source.doubt_.c_str();
  source.note(internal::kafka_error(kind, source.where(), reason));
}

void KafkaSource::on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code,
                               rd_kafka_topic_partition_list_t* list, void* self) {
  auto& source = *static_cast<KafkaSource*>(self);
  const bool given = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  given ? source.assign(*list) : source.revoke(*list);
}

int KafkaSource::on_statistics(rd_kafka_t*, char* json, size_t size, void* self) {
  auto& source = *static_cast<KafkaSource*>(self);
  read_statistics({json, size}, source.config_.topic, source.assigned_us_, source.cursors_);
  return 0;
}

// A commit that failed is tried again.
void KafkaSource::on_offsets(rd_kafka_t*, rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t* list, void* self) {
  auto& source = *static_cast<KafkaSource*>(self);
  for (int i = 0; list != nullptr && i < list->cnt; ++i)
    if (code != 0 || list->elems[i].err != 0)
      source.offsets_.untold(static_cast<uint32_t>(list->elems[i].partition));
}

// Finds the places of partitions that have none yet. False: of some it could not be asked.
Result<bool> KafkaSource::find_places() {
  QW_ASSIGN(const auto found, (Finder{config_, ask(), offsets_.read_before()}.find(cursors_)));
  for (const auto& [number, at] : found) begin(number, cursors_.at(number), at);
  return std::ranges::all_of(cursors_, [](const auto& one) { return one.second.placed; });
}

void KafkaSource::begin(uint32_t partition, Cursor& cursor, const Begin& begin) {
  cursor.placed = true;
  cursor.anew = false;
  cursor.verify = begin.verify;
  cursor.base = begin.at.base;
  cursor.next = cursor.through = begin.at.offset;
  cursor.last = begin.at.last;
  cursor.fetched_to = cursor.end = -1;
  cursor.gap = cursor.gap || begin.gap;
  // Nobody takes the group back, neither while what others decided is read again nor after.
  offsets_.begin(partition, begin.groups);
  if (config_.member) config_.member->place(partition, begin.next_owner);
  cursor.decided_to = 0;
  cursor.rebuild_from.reset();
  if (begin.rebuild) rebuild(partition, cursor, begin);
  if (begin.why == Why::kAsKept) return;
  // A place that nothing was read at is kept, too: it is not chosen again.
  SourceBatch& first = ready_.try_emplace(partition, decode_.schema).first->second;
  first.partition = partition;
  first.gap = std::exchange(cursor.gap, false) || first.gap;
  std::string told =
      kafka::describe(begin, cursor.kept, fmt::format("{}[{}]", config_.topic, partition));
  if (begin.why == Why::kOtherTopic) log::info("source.kafka", "{}", std::exchange(told, {}));
  if (told.empty()) return;
  log::warning("source.kafka", "{}", told);
  const std::lock_guard lock(mutex_);
  status_.missed += static_cast<uint64_t>(begin.missed);
  status_.places_lost += begin.why == Why::kMadeAnew ? 1 : 0;
  status_.last_gap = std::move(told);
}

void KafkaSource::rebuild(uint32_t partition, Cursor& cursor, const Begin& begin) {
  const Rebuild& wanted = *begin.rebuild;
  log::info("source.kafka", "{}", describe_rebuild(wanted, config_.topic, partition));
  cursor.decided_to = wanted.to;
  if (begin.verify) {
    cursor.rebuild_from = wanted.from;
  } else {
    cursor.next = cursor.through = wanted.from;
    cursor.last.reset();
  }
}

// Reads what is ours and has a place.
void KafkaSource::read_assigned() {
  rd_kafka_assign(client_.get(), list_of(cursors_, config_.topic).get());
  assigned_us_ = clock_.monotonic_ns() / 1'000;
  for (auto& [partition, cursor] : cursors_) {
    cursor.moved = false;
    cursor.through = cursor.next;  // what was fetched and not taken is fetched again
    cursor.fetched_to = -1;
  }
  if (std::exchange(paused_, false)) pause(true);
}

void KafkaSource::pause(bool wanted) {
  if (wanted == paused_) return;
  paused_ = wanted;
  const List all = list_of(cursors_, config_.topic);
  const auto change = wanted ? rd_kafka_pause_partitions : rd_kafka_resume_partitions;
  change(client_.get(), all.get());
}

void KafkaSource::assign(const rd_kafka_topic_partition_list_t& list) {
  assigned_once_ = true;
  cursors_.clear();
  {
    const std::lock_guard lock(mutex_);
    status_.owned->clear();
    for (int i = 0; i < list.cnt; ++i) {
      const auto partition = static_cast<uint32_t>(list.elems[i].partition);
      status_.owned->insert(partition);
      cursors_[partition].kept = offsets_.kept(partition);
    }
  }
  if (config_.member) config_.member->join(internal::group_identity(client_.get()));
  const auto found = find_places();
  read_assigned();
  if (!found.ok()) return note(found.error());
  if (*found) note(std::nullopt);
}

int64_t KafkaSource::flush_limit_ms() const {
  if (!leave_by_ns_) return config_.flush_timeout_ms;
  const int64_t left_ms = (*leave_by_ns_ - clock_.monotonic_ns()) / 1'000'000;
  return std::clamp<int64_t>(left_ms * 3 / 4, 1, config_.flush_timeout_ms);  // then the goodbye
}

void KafkaSource::revoke(const rd_kafka_topic_partition_list_t& list) {
  std::vector<uint32_t> partitions;
  for (int i = 0; i < list.cnt; ++i)
    partitions.push_back(static_cast<uint32_t>(list.elems[i].partition));
  for (const uint32_t partition : partitions) {
    ready_.erase(partition);  // never handed out: the next owner reads it
    cursors_.erase(partition);
  }
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    if (config_.member) config_.member->leave();
    host_->lost(partitions);
  } else if (!partitions.empty()) {
    if (auto flushed = host_->flush(partitions, flush_limit_ms()); !flushed.ok()) {
      log::warning("source.kafka", "partitions given up before all was durable: {}",
                   flushed.error().to_string());
      host_->lost(partitions);
    }
    const std::set<uint32_t> given_up(partitions.begin(), partitions.end());
    commit_durable(&given_up);
  }
  if (config_.member) config_.member->leave();
  {
    std::lock_guard lock(mutex_);
    for (const uint32_t partition : partitions) {
      status_.owned->erase(partition);
      status_.lag_records.erase(partition);
      offsets_.give_up(partition);
    }
    describe();
  }
  rd_kafka_assign(client_.get(), nullptr);
}

// Where another member may begin. With sinks that write in this cluster that is not behind what
// they have not delivered: whatever is lost with this process is decided again.
Places KafkaSource::tellable(const std::set<uint32_t>& partitions) const {
  const Places durable = offsets_.durable_of(partitions);
  if (!config_.member) return durable;
  Places places;
  for (const auto& [partition, place] : durable) {
    const auto resume = host_->delivered(partition);
    if (!resume) continue;
    const auto delivered = parse_place(*resume);
    if (!delivered.ok() || (!delivered->topic.empty() && delivered->topic != config_.topic))
      continue;
    config_.member->place(partition, *delivered);
    places.emplace(partition, *delivered);
  }
  return places;
}

// Tells the group how far these partitions, which are given up, or all that are ours have come.
void KafkaSource::commit_durable(const std::set<uint32_t>* only) {
  std::set<uint32_t> wanted;
  if (only != nullptr) {
    wanted = *only;
  } else {
    const std::lock_guard lock(mutex_);
    wanted = *status_.owned;
  }
  // A transaction that was under way may have taken the group back since it was told.
  const List offsets =
      offsets_.to_tell(tellable(wanted), only != nullptr && config_.member != nullptr);
  if (offsets->cnt == 0) return;
  fail_point("kafka.before_offsets");
  if (only == nullptr) {
    rd_kafka_commit(client_.get(), offsets.get(), 1);
    fail_point("kafka.after_offsets");
    return;
  }
  if (!ask().commit(*offsets))
    log::warning("source.kafka", "{}: the group's offsets could not be committed", where());
}

void KafkaSource::committed(uint32_t partition, const std::string& resume) {
  if (const auto place = parse_place(resume); place.ok()) offsets_.durable(partition, *place);
}

// False: a record that is not to be handed out.
bool KafkaSource::is_expected(const rd_kafka_message_t& message, uint32_t partition,
                              Cursor& cursor) {
  if (!cursor.verify) return message.offset >= cursor.next;
  cursor.verify = false;
  const std::string_view value(static_cast<const char*>(message.payload), message.len);
  const Print print{rd_kafka_message_timestamp(&message, nullptr), checksum64(value)};
  // It is gone alone (compacted, or the end of a transaction): nothing can be told.
  const bool gone = message.offset >= cursor.next;
  if (gone || (cursor.last && print == *cursor.last)) {
    if (!cursor.rebuild_from) return gone;
    cursor.next = cursor.through = *std::exchange(cursor.rebuild_from, std::nullopt);
    cursor.last.reset();
    cursor.moved = true;
    last_upkeep_ns_ = 0;
    return false;
  }
  cursor.kept = cursor.place(config_.topic);
  cursor.anew = true;
  cursor.placed = false;
  ready_.erase(partition);
  last_upkeep_ns_ = 0;
  return false;
}

void KafkaSource::take(const rd_kafka_message_t& message) {
  const auto partition = static_cast<uint32_t>(message.partition);
  const auto ours = cursors_.find(partition);
  if (ours == cursors_.end() || !ours->second.placed || ours->second.moved) return;
  Cursor& cursor = ours->second;
  if (!is_expected(message, partition, cursor)) return;
  auto [found, fresh] = ready_.try_emplace(partition, decode_.schema);
  SourceBatch& batch = found->second;
  batch.partition = partition;
  batch.gap = batch.gap || std::exchange(cursor.gap, false);
  if (cursor.decided_to > 0)
    batch.decided_to = static_cast<uint64_t>(cursor.base + cursor.decided_to);
  const std::string_view record(static_cast<const char*>(message.payload), message.len);
  cursor.next = cursor.through = message.offset + 1;
  cursor.last = {rd_kafka_message_timestamp(&message, nullptr), checksum64(record)};
  if (message.payload == nullptr) return;  // a tombstone says nothing about an event
  auto decoded = decoder_->decode(record, batch.rows);
  if (decoded.ok()) {
    batch.positions.push_back(static_cast<uint64_t>(cursor.base + message.offset) + 1);
    // What others took in long ago is judged by when it came to them.
    const bool before = message.offset < cursor.decided_to && cursor.last->timestamp_ms > 0;
    batch.arrived_us.push_back(before ? cursor.last->timestamp_ms * 1'000 : INT64_MAX);
    return;
  }
  batch.rejected.push_back(
      reject(fmt::format("{}[{}]@{}", config_.topic, partition, message.offset),
             decoded.error().message, record));
}

// All that had come in is taken: so is what the statistics said was fetched before.
void KafkaSource::settle() {
  drained_ = true;
  const std::lock_guard lock(mutex_);
  for (auto& [partition, cursor] : cursors_) {
    cursor.through = std::max(cursor.through, cursor.fetched_to);
    if (cursor.end >= 0)
      status_.lag_records[partition] = std::max<int64_t>(0, cursor.end - cursor.through);
  }
}

// Fills ready_ with what has arrived; callbacks of the group run inside.
void KafkaSource::fetch(int64_t wait_us) {
  int wait_ms = static_cast<int>(std::min<int64_t>((wait_us + 999) / 1000, 60'000));
  for (size_t count = 0; count < kMostAtOnce; ++count) {
    const KafkaPtr<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), wait_ms));
    if (!message) return settle();
    wait_ms = 0;
    drained_ = false;
    if (message->err == 0) {
      take(*message);
    } else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
      const auto ours = cursors_.find(static_cast<uint32_t>(message->partition));
      if (ours == cursors_.end()) continue;
      ours->second.kept = ours->second.place(config_.topic);
      ours->second.placed = false;  // retention overtook it, or other records are there now
      last_upkeep_ns_ = 0;
    } else {
      note(internal::kafka_error(message->err, where(), rd_kafka_message_errstr(message.get())));
    }
  }
}

// Once a second: places that are not known yet, the group's offsets, whether a broker is back.
void KafkaSource::upkeep() {
  const int64_t now_ns = clock_.monotonic_ns();
  if (now_ns - last_upkeep_ns_ < kUpkeepNs) return;
  last_upkeep_ns_ = now_ns;
  if (!all_placed(cursors_)) {
    const auto found = find_places();
    read_assigned();
    if (!found.ok()) note(found.error());
    if (found.ok() && *found) note(std::nullopt);
  }
  commit_durable(nullptr);
  look_for_broker();
}

void KafkaSource::look_for_broker() {
  bool troubled = false, owner = false;
  {
    std::lock_guard lock(mutex_);
    troubled = status_.trouble.has_value();
    owner = !status_.owned->empty();
  }
  const bool doubted = std::exchange(in_doubt_, false);
  if (!troubled && !doubted) return;
  const Lookup quick{client_.get(), config_.topic, troubled ? 200 : 1'000};
  const auto partitions = quick.partitions();
  if (!partitions.ok() && !troubled)
    note(internal::kafka_error(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, where(),
                               doubt_.empty() ? nullptr : doubt_.c_str()));
  if (!partitions.ok()) return;
  doubt_.clear();
  if (troubled && all_placed(cursors_) && (owner || !partitions->empty())) note(std::nullopt);
}

// Answers the group. Messages that come are held, up to a limit; beyond it no more are fetched.
void KafkaSource::serve() {
  if (!client_) return;
  size_t held = 0;
  for (const auto& [partition, batch] : ready_) held += batch.rows.rows() + batch.rejected.size();
  if (held >= kMostHeld) pause(true);
  fetch(0);
  upkeep();
}

Result<SourceBatch> KafkaSource::poll(int64_t wait_us) {
  if (!client_) return SourceBatch(decode_.schema);
  pause(false);
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
  batch.resume = encode(cursors_.at(batch.partition).place(config_.topic));
  std::lock_guard lock(mutex_);
  if (status_.rebuilding > 0 && left_to_rebuild(cursors_) == 0)
    log::info("source.kafka", "{}: what is remembered is rebuilt", where());
  describe();
  status_.rows += batch.rows.rows();
  status_.rejected += batch.rejected.size();
  return batch;
}

// Where the end of a partition is known and was reached, nothing of it waits unread.
bool KafkaSource::caught_up() const {
  if (!client_ || !ready_.empty() || !assigned_once_ || !drained_) return false;
  {
    const std::lock_guard lock(mutex_);
    if (status_.trouble) return false;
  }
  return std::ranges::all_of(cursors_, [](const auto& one) { return one.second.at_end(); });
}

SourceStatus KafkaSource::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

// Gives back the partitions (flushes, commits) and says goodbye to the group. Not to a coordinator
// that is silent: rd_kafka_consumer_close waits for it for minutes, and librdkafka 2.0 was seen to
// crash over it. What is durable here is not read again, whatever the group was told.
bool KafkaSource::leave() {
  leave_by_ns_ = clock_.monotonic_ns() + config_.leave_timeout_ms * 1'000'000;
  if (!Lookup{client_.get(), config_.topic, kAnswerMs}.group_places({kNoPartition}).ok())
    return false;
  const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_.get()));
  const KafkaPtr<rd_kafka_error_t> refused(
      rd_kafka_consumer_close_queue(client_.get(), queue.get()));
  while (!refused && rd_kafka_consumer_closed(client_.get()) == 0) {
    if (clock_.monotonic_ns() >= *leave_by_ns_) return false;
    // Messages come here as well, and are dropped: the next owner reads them.
    const KafkaPtr<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), 100));
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE)
      on_rebalance(client_.get(), rd_kafka_event_error(event.get()),
                   rd_kafka_event_topic_partition_list(event.get()), this);
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
  // The end of a client of librdkafka 2.0 waits for ever for partitions that were deleted; the
  // process, which ends now, does not.
  if (went_) (void)client_.release();
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
