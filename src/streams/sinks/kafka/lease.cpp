#include "streams/sinks/kafka/lease.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace qw::streams {
namespace {

using internal::KafkaPtr;
using List = KafkaPtr<rd_kafka_topic_partition_list_t>;

constexpr int kAskMs = 3'000;
constexpr int kGiveBackMs = 500;

List one_place(const std::string& topic) {
  List list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 0);
  return list;
}

bool is_refusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
         code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

}  // namespace

Lease::~Lease() {
  if (held_) (void)write("", kGiveBackMs);
}

Result<Lease::Mark> Lease::read() const {
  const List place = one_place(config_.topic);
  auto code = rd_kafka_committed(client_.get(), place.get(), kAskMs);
  const auto& found = place->elems[0];
  if (code == 0) code = found.err;
  if (is_refusal(code)) return Error{ErrorCode::kBadInput, rd_kafka_err2str(code), group(), ""};
  // A topic that is not there yet has no mark either.
  if (code != 0 && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    return internal::kafka_error(code, group());
  Mark mark;
  mark.count = std::max<int64_t>(found.offset, 0);
  if (found.offset >= 0 && found.metadata != nullptr)
    mark.owner.assign(static_cast<const char*>(found.metadata), found.metadata_size);
  return mark;
}

// Waits for the answer, unless the limit is 0.
Result<void> Lease::write(const std::string& owner, int limit_ms) {
  const List place = one_place(config_.topic);
  place->elems[0].offset = *held_ + 1;
  internal::set_metadata(place->elems[0], owner);
  const KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_.get()));
  if (limit_ms == 0) {
    rd_kafka_commit(client_.get(), place.get(), 1);
    ++*held_;
    return {};
  }
  rd_kafka_commit_queue(client_.get(), place.get(), queue.get(), nullptr, nullptr);
  const KafkaPtr<rd_kafka_event_t> done(rd_kafka_queue_poll(queue.get(), limit_ms));
  auto code = done ? rd_kafka_event_error(done.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  const auto* places = done ? rd_kafka_event_topic_partition_list(done.get()) : nullptr;
  if (code == 0 && places != nullptr && places->cnt > 0) code = places->elems[0].err;
  if (is_refusal(code)) return Error{ErrorCode::kBadInput, rd_kafka_err2str(code), group(), ""};
  if (code != 0) return internal::kafka_error(code, group());
  ++*held_;
  return {};
}

Result<void> Lease::take() {
  if (config_.owner.empty() || refused_) return {};
  const auto without = [&](const Error& error) -> Result<void> {
    if (error.code != ErrorCode::kBadInput) return error;
    refused_ = true;
    held_.reset();
    log::warning("sink.kafka",
                 "'{}' cannot keep its mark in the group '{}' ({}): a second application of this "
                 "name is not noticed; give it the right to read and write that group",
                 config_.id, group(), error.message);
    return {};
  };
  if (!client_) {
    internal::KafkaSettings ours = config_.broker;
    ours["group.id"] = group();
    ours["enable.auto.commit"] = "false";
    QW_ASSIGN(auto conf, internal::kafka_conf(ours, config_.client));
    QW_ASSIGN(client_, internal::kafka_client(RD_KAFKA_CONSUMER, std::move(conf)));
  }
  const auto mark = read();
  if (!mark.ok()) return without(mark.error());
  const int64_t now_ns = clock_.monotonic_ns();
  if (!mark->owner.empty() && mark->owner != config_.owner) {
    if (watched_ != mark->count) {
      watched_ = mark->count;
      watched_since_ns_ = now_ns;
    }
    if (now_ns - watched_since_ns_ < kAbandonedNs) {
      held_.reset();
      return Error{
          ErrorCode::kConflict,
          fmt::format("another application '{}' (data folder {}) writes to {}, or did so "
                      "{} s ago",
                      config_.id, mark->owner, config_.topic, kAbandonedNs / 1'000'000'000),
          group(),
          "stop it, or give one of the applications another name; when it is gone this "
          "one goes on by itself"};
    }
    log::info("sink.kafka", "'{}' was written by the data folder {}, which no longer lives",
              config_.id, mark->owner);
  }
  held_ = mark->count;
  watched_.reset();
  renewed_ns_ = now_ns;
  const auto written = write(config_.owner, kAskMs);
  // A topic that is made by the first who writes to it: the mark comes after that.
  topic_missing_ = !written.ok() && written.error().code == ErrorCode::kNotFound;
  if (topic_missing_) held_.reset();
  return written.ok() || topic_missing_ ? Result<void>() : without(written.error());
}

void Lease::renew() {
  const int64_t now_ns = clock_.monotonic_ns();
  if ((!held_ && !topic_missing_) || now_ns - renewed_ns_ < kRenewNs) return;
  renewed_ns_ = now_ns;
  if (topic_missing_)
    (void)take();  // whoever was first has it, and the broker fences the other off
  else
    (void)write(config_.owner, 0);
}

}  // namespace qw::streams
