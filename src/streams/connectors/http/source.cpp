#include "streams/connectors/http/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/fail_point.h"
#include "streams/connectors/http/body.h"
#include "streams/decoders/decoder.h"

namespace qw::streams::http {
namespace {

using nlohmann::json;

// One POST on its way: first in the queue, then spread over the batches its records went into.
struct Push {
  std::shared_ptr<net::HttpReply> reply;  // null once answered
  std::string body;
  std::string content_type;
  uint64_t number = 0;
  int64_t arrived_ns = 0;
  size_t bytes = 0;  // what it holds of max_pending_bytes
  std::vector<BodyRecord> records;
  size_t next = 0;                    // the first record not handed out
  size_t undecided = 0;               // records that are not durable
  std::vector<Receipt::Row> results;  // by record
};
using PushPtr = std::shared_ptr<Push>;

std::string_view name_of(Receipt::Fate fate) {
  switch (fate) {
    case Receipt::Fate::kAccepted: return "accepted";
    case Receipt::Fate::kLate: return "late";
    case Receipt::Fate::kDuplicate: return "duplicate";
    case Receipt::Fate::kDropped: return "dropped";
    case Receipt::Fate::kDead: return "dead_letter";
  }
  return "unknown";
}

net::HttpResponse answer_of(const Push& push) {
  std::array<size_t, 5> counts{};
  json results = json::array();
  for (size_t i = 0; i < push.results.size(); ++i) {
    const Receipt::Row& row = push.results[i];
    ++counts[static_cast<size_t>(row.fate)];
    if (row.fate == Receipt::Fate::kAccepted) continue;
    json one = {{"record", i}, {"status", name_of(row.fate)}};
    if (!row.reason.empty()) one["reason"] = row.reason;
    results.push_back(std::move(one));
  }
  const auto count = [&](Receipt::Fate fate) { return counts[static_cast<size_t>(fate)]; };
  json body = {{"records", push.results.size()},
               {"accepted", count(Receipt::Fate::kAccepted)},
               {"late", count(Receipt::Fate::kLate)},
               {"duplicates", count(Receipt::Fate::kDuplicate)},
               {"dropped", count(Receipt::Fate::kDropped)},
               {"dead_letters", count(Receipt::Fate::kDead)},
               {"results", std::move(results)}};
  net::HttpResponse response;
  if (count(Receipt::Fate::kDead) == push.results.size()) {
    response.status = 422;
    body["code"] = qw::name_of(ErrorCode::kBadInput);
    body["where"] = "record 0";
    body["message"] = push.results.front().reason;
    body["how_to_mend"] = "correct the records; as they came they are in the dead letters";
  }
  response.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  return response;
}

// Compares in a time that does not tell where the first difference is.
bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned difference = given.size() == wanted.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(wanted[i % wanted.size()]);
  return difference == 0;
}

// A batch that is not durable yet, and whose its rows and rejected records are.
struct Flight {
  std::string id;
  std::shared_ptr<Receipt> receipt;
  std::vector<std::pair<PushPtr, size_t>> rows;  // push, record
  std::vector<PushPtr> rejected;                 // one entry a record
};

// What the server's thread, the source's and the committer's share. Lives as long as any needs it.
class Intake {
 public:
  Intake(const Config& config, const std::string& name, const Clock& clock, MetricRegistry& metrics)
      : config_(config), name_(name), clock_(clock), metrics_(metrics) {}

  // The server's thread.
  void take(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);

  // The source's thread. Only it takes from the queue.
  void open();
  // Ends intake: what waits is refused, what was handed out may still become durable.
  void close();
  PushPtr front(int64_t wait_us);
  void pop_front();
  void refuse_front(const Error& error);
  // Answers what has waited too long with 503.
  void expire();

  // The committer's thread.
  void durable(Flight& flight);

  // Nothing waits to be handed out.
  bool taken() const {
    const std::lock_guard lock(mutex_);
    return waiting_.empty();
  }
  size_t pending() const {
    const std::lock_guard lock(mutex_);
    return pending_.size();
  }

 private:
  std::optional<net::HttpResponse> refuse(const net::HttpRequest& request) const;
  net::HttpResponse later(int status, std::string message, std::string mend) const;
  void answer(Push& push, net::HttpResponse response);
  void forget(const PushPtr& push);
  void decide(const PushPtr& push);

  const Config config_;
  const std::string name_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  mutable std::mutex mutex_;  // guards what follows, and Push::reply and Push::undecided
  std::condition_variable arrived_;
  bool open_ = false;
  std::deque<PushPtr> waiting_;
  std::deque<PushPtr> pending_;  // waiting ones included, in the order they came
  size_t pending_bytes_ = 0;
  uint64_t number_ = 0;
};

net::HttpResponse Intake::later(int status, std::string message, std::string mend) const {
  net::HttpResponse response =
      net::error_response({ErrorCode::kUnavailable, std::move(message), name_, std::move(mend)});
  response.status = status;
  response.headers.emplace_back("Retry-After", std::to_string(config_.retry_after_s));
  return response;
}

std::optional<net::HttpResponse> Intake::refuse(const net::HttpRequest& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  const auto with_status = [&](int status, ErrorCode code, const char* what, const char* mend) {
    net::HttpResponse response = net::error_response({code, what, name_, mend});
    response.status = status;
    return response;
  };
  if (!config_.token.empty()) {
    const std::string_view given = request.header("authorization");
    if (!given.starts_with(kBearer) || !same_secret(given.substr(kBearer.size()), config_.token)) {
      auto response = with_status(401, ErrorCode::kBadInput, "the token is missing or wrong",
                                  "send `Authorization: Bearer TOKEN`");
      response.headers.emplace_back("WWW-Authenticate", "Bearer");
      return response;
    }
  } else if (!request.header("origin").empty()) {
    // Any page that a person opens can make the browser post to this machine.
    return with_status(403, ErrorCode::kBadInput, "a web page may not post without a token",
                       "set `token:` of the source, and send it");
  }
  return std::nullopt;
}

void Intake::take(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
  if (auto refusal = refuse(request)) return reply->send(std::move(*refusal));
  const std::lock_guard lock(mutex_);
  if (!open_) return reply->send(later(503, "the source is not taking events", "send it again"));
  if (pending_.size() >= config_.max_pending_requests ||
      (!pending_.empty() && pending_bytes_ + request.body.size() > config_.max_pending_bytes)) {
    metrics_
        .counter("quickwater_http_source_throttled_total", "Requests answered with 429.",
                 {{"source", name_}})
        .add();
    return reply->send(later(429, fmt::format("{} requests are waiting already", pending_.size()),
                             "send it again after Retry-After seconds"));
  }
  auto push = std::make_shared<Push>();
  push->reply = std::move(reply);
  push->body = request.body;
  push->bytes = request.body.size();
  push->content_type = request.header("content-type");
  push->number = ++number_;
  push->arrived_ns = clock_.monotonic_ns();
  pending_bytes_ += push->bytes;
  waiting_.push_back(push);
  pending_.push_back(std::move(push));
  arrived_.notify_one();
}

void Intake::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
}

void Intake::close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
  while (!waiting_.empty()) {
    const PushPtr push = waiting_.front();
    waiting_.pop_front();
    answer(*push, later(503, "the application is stopping", "send it again once it runs"));
    if (push->next == 0) forget(push);
  }
}

PushPtr Intake::front(int64_t wait_us) {
  std::unique_lock lock(mutex_);
  const bool any = arrived_.wait_for(lock, std::chrono::microseconds(wait_us),
                                     [this] { return !waiting_.empty(); });
  return any ? waiting_.front() : nullptr;
}

void Intake::pop_front() {
  const std::lock_guard lock(mutex_);
  waiting_.pop_front();
}

void Intake::refuse_front(const Error& error) {
  const std::lock_guard lock(mutex_);
  const PushPtr push = waiting_.front();
  waiting_.pop_front();
  answer(*push, net::error_response(error));
  forget(push);
}

void Intake::answer(Push& push, net::HttpResponse response) {
  if (!push.reply) return;
  push.reply->send(std::move(response));
  push.reply.reset();
}

void Intake::forget(const PushPtr& push) {
  pending_bytes_ -= push->bytes;
  pending_.erase(std::find(pending_.begin(), pending_.end(), push));
}

void Intake::decide(const PushPtr& push) {
  if (--push->undecided > 0) return;
  answer(*push, answer_of(*push));
  forget(push);
}

void Intake::durable(Flight& flight) {
  QW_ASSERT(flight.receipt->rows.size() == flight.rows.size());
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < flight.rows.size(); ++i) {
    const auto& [push, record] = flight.rows[i];
    push->results[record] = std::move(flight.receipt->rows[i]);
    decide(push);
  }
  for (const PushPtr& push : flight.rejected) decide(push);
}

void Intake::expire() {
  const std::lock_guard lock(mutex_);
  const int64_t oldest_ns = clock_.monotonic_ns() - config_.commit_timeout_ms * 1'000'000;
  // In the order they came: the first young one ends it.
  for (size_t i = 0; i < pending_.size() && pending_[i]->arrived_ns <= oldest_ns;) {
    const PushPtr push = pending_[i];
    answer(*push, later(503, "the events are not durable in time",
                        "send it again: records with an event_id count once"));
    if (push->next == 0) {
      std::erase(waiting_, push);
      forget(push);
    } else {
      ++i;  // its memory is held until its batches are durable
    }
  }
}

class HttpSource final : public Source {
 public:
  HttpSource(const Config& config, std::string name, const DecodeOptions& decode,
             std::unique_ptr<RecordDecoder> decoder, const Clock& clock,
             std::shared_ptr<Intake> intake)
      : config_(config),
        name_(std::move(name)),
        decode_(decode),
        decoder_(std::move(decoder)),
        clock_(clock),
        intake_(std::move(intake)) {}
  ~HttpSource() override { close(); }

  const std::shared_ptr<const schema::Schema>& schema() const override { return decode_.schema; }
  Result<void> open(const SavedPositions&, SourceHost&) override {
    intake_->open();
    set_state(SourceState::kRunning);
    return {};
  }
  Result<SourceBatch> poll(int64_t wait_us) override;
  bool caught_up() const override { return intake_->taken(); }
  void serve() override { intake_->expire(); }
  void committed(uint32_t partition, const std::string& resume) override;
  SourceStatus status() const override;
  void close() override {
    intake_->close();
    set_state(SourceState::kClosed);
  }

 private:
  Result<void> begin(Push& push) const;
  void take_records(const PushPtr& push, SourceBatch& batch, Flight& flight);
  void set_state(SourceState state) {
    const std::lock_guard lock(mutex_);
    status_.state = state;
  }

  const Config config_;
  const std::string name_;
  const DecodeOptions decode_;
  std::unique_ptr<RecordDecoder> decoder_;
  const Clock& clock_;
  std::shared_ptr<Intake> intake_;
  uint64_t batches_ = 0;

  mutable std::mutex mutex_;  // guards what follows; never held together with the intake's
  std::deque<Flight> flights_;
  SourceStatus status_;
};

// Tells the records of a request apart.
Result<void> HttpSource::begin(Push& push) const {
  QW_ASSIGN(push.records, split_body(push.body, push.content_type, decode_, config_.max_records));
  push.undecided = push.records.size();
  push.results.resize(push.records.size());
  return {};
}

void HttpSource::take_records(const PushPtr& push, SourceBatch& batch, Flight& flight) {
  for (; push->next < push->records.size() && batch.rows.rows() < kMaxBatchRows &&
         batch.rejected.size() < kMaxBatchRows;
       ++push->next) {
    const BodyRecord& record = push->records[push->next];
    std::string reason = describe(record.problem, decode_);
    if (reason.empty()) {
      const auto decoded = decoder_->decode(record.text, batch.rows);
      if (decoded.ok()) {
        flight.rows.emplace_back(push, push->next);
        continue;
      }
      reason = decoded.error().message;
    }
    push->results[push->next] = {Receipt::Fate::kDead, reason};
    batch.rejected.push_back(
        reject(fmt::format("{} request {} record {}", config_.path, push->number, push->next),
               std::move(reason), record.text));
    flight.rejected.push_back(push);
  }
}

Result<SourceBatch> HttpSource::poll(int64_t wait_us) {
  intake_->expire();
  SourceBatch batch(decode_.schema);
  Flight flight;
  for (PushPtr push = intake_->front(wait_us); push; push = intake_->front(0)) {
    if (push->next == 0) {
      if (auto begun = begin(*push); !begun.ok()) {
        intake_->refuse_front(begun.error());
        continue;
      }
    }
    if (batch.arrived_ns == 0) batch.arrived_ns = push->arrived_ns;
    take_records(push, batch, flight);
    if (push->next == push->records.size()) intake_->pop_front();
    if (std::max(batch.rows.rows(), batch.rejected.size()) >= kMaxBatchRows) break;
  }
  if (batch.empty()) return batch;
  // The number tells this batch when it is durable; a start begins anew with other names.
  batch.resume = fmt::format("{}.{}", clock_.wall_us(), ++batches_);
  batch.receipt = std::make_shared<Receipt>();
  flight.id = batch.resume;
  flight.receipt = batch.receipt;
  const std::lock_guard lock(mutex_);
  status_.rows += batch.rows.rows();
  status_.rejected += batch.rejected.size();
  flights_.push_back(std::move(flight));
  return batch;
}

void HttpSource::committed(uint32_t, const std::string& resume) {
  Flight flight;
  {
    const std::lock_guard lock(mutex_);
    // Batches are durable in order; one that was given up never becomes so, and its senders wait in
    // vain: they are told 503.
    const auto found = std::find_if(flights_.begin(), flights_.end(),
                                    [&](const Flight& one) { return one.id == resume; });
    if (found == flights_.end()) return;
    flight = std::move(*found);
    flights_.erase(flights_.begin(), std::next(found));
  }
  fail_point("http_source.before_answer");
  intake_->durable(flight);
}

SourceStatus HttpSource::status() const {
  SourceStatus status;
  {
    const std::lock_guard lock(mutex_);
    status = status_;
  }
  status.detail =
      fmt::format("POST {}: {} requests not durable yet", config_.path, intake_->pending());
  return status;
}

}  // namespace

Result<std::unique_ptr<Source>> make_http_source(const Config& config, const std::string& name,
                                                 const DecodeOptions& decode, const Clock& clock,
                                                 MetricRegistry& metrics, net::HttpServer* server) {
  QW_TRY(check(config));
  QW_ASSIGN(auto decoder, make_decoder(decode));
  if (decoder->needs_header())
    return Error{ErrorCode::kBadInput, "requests have no CSV header", "http",
                 "name the columns with `columns:`"};
  if (server == nullptr)
    return Error{ErrorCode::kBadInput, "there is no HTTP server to post to", "http", ""};
  Config whole = config;
  if (whole.path.empty()) whole.path = "/v1/events/" + name;
  auto intake = std::make_shared<Intake>(whole, name, clock, metrics);
  server->route("POST", whole.path,
                [intake](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
                  intake->take(request, std::move(reply));
                });
  return std::unique_ptr<Source>(
      std::make_unique<HttpSource>(whole, name, decode, std::move(decoder), clock, intake));
}

}  // namespace qw::streams::http
