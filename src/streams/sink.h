// How decisions, alerts and actions go out: a sink delivers the rows of its outbox, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/ids.h"
#include "base/result.h"

namespace qw::streams {

// The record that a row was decided on, where it may be decided by another member of a group as
// well. A value.
struct RowOrigin {
  std::string stream;      // the group and the topic, as the application names them; empty: none
  uint32_t partition = 0;  // of the topic
  uint64_t position = 0;   // of the record; a sink has at most one row of it
};

// One thing to deliver, as the outbox stores it.
struct OutboxRow {
  std::string action_id;      // the same after every replay; receivers tell repeats by it
  int64_t created_at_us = 0;  // wall clock
  std::string key;            // Kafka: the message key; others: for logs
  // One JSON object. alertmanager reads: "alert" (name), "state" ("firing" | "resolved"),
  // "starts_at_us", "ends_at_us" (resolved), "labels" {..}, "annotations" {..}, "url".
  std::string json;
  RowOrigin origin = {};
};
void encode_outbox_row(const OutboxRow& row, std::string& out);
Result<OutboxRow> decode_outbox_row(std::string_view bytes);

// A row that waits in an outbox, and its place there. A value.
struct PendingRow {
  Seq seq;
  OutboxRow row;
};

// It arrived, or there is nothing to say. `http_status` here and below: the receiver's answer; 0:
// it gave none, or speaks no HTTP.
struct Delivered {
  int http_status = 0;
};
// Not now. after_ms: what the receiver asked for (Retry-After); 0: the worker's backoff decides.
struct Retry {
  int64_t after_ms = 0;
  std::string reason;
};
// Never: the receiver says the row itself is wrong. Recorded, not tried again.
struct Refused {
  std::string reason;
  int http_status = 0;
};
using Delivery = std::variant<Delivered, Retry, Refused>;

// What became of a deliver() call: the first `delivered` rows arrived; `next` is about the row
// after them (Delivered when there is none).
struct DeliveryReport {
  size_t delivered = 0;
  Delivery next;
};

// What a sink does with a row that waits.
enum class Turn : uint8_t {
  kNow,
  kAside,   // it stays, and lets others pass, until look() says that it is to be asked about again
  kArrived  // it is there already: this process, or another one, delivered it
};

// One configured sink. Made by make_sink(), owned by its OutboxWorker, which alone calls it, on one
// thread (cancel(): any). Never throws; trouble is a Retry or a Refused.
class Sink {
 public:
  virtual ~Sink() = default;

  // What the sink knows at start. `delivered_up_to`: rows at or below it arrived already although
  // the outbox still holds them (exactly once, for sinks that keep positions with the data).
  struct Start {
    Seq delivered_up_to;
  };
  // `saved`: what state() gave at the last durable commit; empty at first. kUnavailable: tried
  // again with backoff.
  virtual Result<Start> open(std::string_view saved) = 0;
  // Rows the sink takes at once; they arrive all or from the front.
  virtual size_t batch_rows() const { return 1; }
  virtual DeliveryReport deliver(std::span<const PendingRow> rows) = 0;
  // Before each round: the only moment at which what turn_of() answers may change from kAside, so
  // that rows of one origin keep their order. True: rows that were put aside are asked about again.
  virtual Result<bool> look() { return false; }
  virtual Turn turn_of(const PendingRow&) { return Turn::kNow; }
  // False: rows wait, and that is nobody's failure. Asked about once a second.
  virtual bool ready() const { return true; }
  // The worker delivers this row no more, for a reason of its own: its deadline, its attempts.
  virtual void gave_up(const PendingRow&, const std::string& /*reason*/) {}
  // A small durable memory, saved in the commit that erases the delivered rows (alertmanager: the
  // alerts that fire). Nothing: no memory.
  virtual std::optional<std::string> state() const { return std::nullopt; }
  // Called about once a second between deliveries (alertmanager: sends firing alerts again).
  virtual Result<void> tick(int64_t wall_us) {
    (void)wall_us;
    return {};
  }
  // From any thread, when the time of a stop ends: what is called now, or from now on, returns soon
  // with "not now". The rows stay in the outbox.
  virtual void cancel() {}
};

}  // namespace qw::streams
