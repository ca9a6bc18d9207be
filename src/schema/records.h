// The records that travel between parts and are stored in the logs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "schema/batch.h"

namespace qw::schema {

// What ingest decided about an event, once; executors read it and never derive it again.
enum class EventStatus : uint8_t { kOk = 1, kLateRepaired, kLateDropped, kDuplicate, kQuarantined };
std::string_view name_of(EventStatus status);

// What was decided about one event when it came in; stored with it and never derived again. A
// value.
struct EventFacts {
  PartitionId partition;
  Seq seq;
  EventTime event_time;
  KnownAt known_at;
  EventStatus status = EventStatus::kOk;

  // Counts in features (repairs state even when late).
  bool counts() const { return status == EventStatus::kOk || status == EventStatus::kLateRepaired; }
};

// Events of one source: a row and its facts at the same index. All rows have the source's schema.
struct EventBatch {
  Batch rows;
  std::vector<EventFacts> facts;
};

// One event of a log: facts and the row's bytes (decode_row with the schema of that fingerprint).
void encode_event(const EventFacts& facts, uint64_t schema_fingerprint, std::string_view row_bytes,
                  std::string& out);
// An event as the log holds it. A value; `row_bytes` lives as long as the record it was decoded
// from.
struct StoredEvent {
  EventFacts facts;
  uint64_t schema_fingerprint = 0;
  std::string_view row_bytes;  // a view into the stored record
};
// kCorrupt when the bytes are damaged; kUnsupported when a newer version wrote them.
Result<StoredEvent> decode_event(std::string_view record);

// Why a feature is as it is. kPresent also for a null that is the plain answer (an empty window).
// Stored in decisions: a number never changes its meaning.
enum class FeatureStatus : uint8_t {
  kPresent = 0,
  kOverflow = 1,       // an integer or decimal sum left its range: null
  kOutsideMaxAge = 2,  // first/last: a value exists but is too old: null
  kHotKey = 3,         // events of the window were refused, being more than max_rows: null
  kIncomplete = 4,     // the window begins before the oldest event still kept
};
std::string_view name_of(FeatureStatus status);

// What asked for a decision. Stored: a number never changes its meaning.
enum class Trigger : uint8_t { kEvent = 0, kRequest = 1 };

// One decision on one event or request, with all it was made from. Recovery and warming replay
// learning state from these records alone, so `inputs` are bit-exact. The lists hold values alone:
// what they are called says the DecisionSchema of that id (schema/stored_schema.h), never the
// application file, which may have changed since.
struct DecisionRecord {
  std::string decision;   // its name in the application file
  std::string key;        // the series or entity it is about
  PartitionId partition;  // of the event
  Seq event_seq;          // of the event
  EventTime as_of;        // the moment the features were read at
  KnownAt decided_at;     // wall clock, microseconds
  Trigger trigger = Trigger::kEvent;
  std::string id;                  // the request's, as who asked named it; empty for an event
  std::string model;               // what answered: "anomaly"
  std::optional<int64_t> version;  // of that model; nothing: rules, which have none
  bool fallback = false;           // the decision's first choice did not answer
  // Of an experiment; empty: there is none. `propensity`: how likely the variant was, 0..1.
  std::string variant;
  double propensity = 1;
  // What the features saw: up to which record of each partition. Empty: of `partition` alone, up to
  // `event_seq`.
  std::vector<std::pair<PartitionId, Seq>> known;
  std::vector<Value> features;  // in the decision's declared order
  std::vector<Value> inputs;    // the model's inputs, in the model's order
  double score = 0;
  bool warm = true;
  std::vector<double> contributions;  // per member of the model, its order; may be empty
  std::vector<Value> outputs;         // in the order of the decision's output expressions
  uint64_t schema_id = 0;             // 0: written before there were any (format version 1)
  // Of `features`, one each; empty when all are kPresent.
  std::vector<FeatureStatus> statuses;

  // "anomaly@3", "anomaly@2 (fallback)"; of rules the name alone.
  std::string served_by() const;
};
// Version 3; 1 and 2, which had the text of served_by() in place of what it is made from, are read.
// What a plain event has not costs a byte in all. `statuses` cost a byte when all are kPresent,
// else two or three for each that is not.
void encode_decision(const DecisionRecord& decision, std::string& out);
Result<DecisionRecord> decode_decision(std::string_view record);
// The key alone, as a view into the record: what recovery needs of a million of them.
Result<std::string_view> decision_key(std::string_view record);

// Everything else that happened and must be remembered in order: ticks, alerts, actions, verdicts,
// incidents, retraining, versions. Few a second; the body is JSON so that the page, a person and
// DuckDB can read it.
struct JournalRecord {
  std::string
      kind;  // "alert_fired", "action_finished", "model", ... (store/commit/journal_kinds.h)
  int64_t at_us = 0;
  std::string json;  // one object
};
void encode_journal(const JournalRecord& record, std::string& out);
Result<JournalRecord> decode_journal(std::string_view record);

// A record that could not be used, as it came, with the reason.
struct DeadLetter {
  std::string source;
  std::string position;  // where in the source: "file.csv:17", "tx[3]@4711"
  std::string reason;
  std::string raw;  // at most kDeadLetterRawBytes, cut with a note in the reason
  int64_t at_us = 0;
};
constexpr size_t kDeadLetterRawBytes = 64 * 1024;
void encode_dead_letter(const DeadLetter& letter, std::string& out);
Result<DeadLetter> decode_dead_letter(std::string_view record);

}  // namespace qw::schema
