#include "schema/records.h"

#include <algorithm>
#include <charconv>

#include "schema/stored_record.h"

namespace qw::schema {
namespace {

enum RecordKind : uint8_t { kEvent = 1, kDecision = 2, kJournal = 3, kDeadLetter = 4 };
constexpr uint8_t kVersion = 1;
constexpr uint8_t kDecisionVersion = 3;

constexpr std::string_view kWhat = "a stored record";
constexpr std::string_view kFallbackMark = " (fallback)";

Result<ByteReader> open_body(std::string_view record, RecordKind kind) {
  return open_stored(record, kind, kVersion, kWhat);
}

Error damaged() { return damaged_record(kWhat); }

// All versions begin alike; `version` is the one found.
Result<ByteReader> open_decision(std::string_view record, uint8_t& version) {
  QW_ASSIGN(const SealedRecord sealed, open_record(record));
  version = std::min(sealed.version, kDecisionVersion);
  return open_stored(record, kDecision, version, kWhat);
}

void write_values(ByteWriter& writer, const std::vector<Value>& values) {
  writer.varint(values.size());
  for (const Value& value : values) {
    writer.u8(static_cast<uint8_t>(value.index()));
    if (const auto* number = std::get_if<int64_t>(&value)) writer.i64(*number);
    if (const auto* number = std::get_if<double>(&value)) writer.f64(*number);
    if (const auto* text = std::get_if<std::string>(&value)) writer.text(*text);
  }
}

// Counts come from disk: each entry needs at least one byte, so a damaged count cannot ask for
// endless memory.
size_t read_count(ByteReader& reader) {
  const uint64_t count = reader.varint();
  return count <= reader.rest().size() ? static_cast<size_t>(count) : 0;
}

std::vector<Value> read_values(ByteReader& reader) {
  std::vector<Value> values(read_count(reader));
  for (Value& value : values) {
    switch (reader.u8()) {
      case 1: value = reader.i64(); break;
      case 2: value = reader.f64(); break;
      case 3: value = std::string(reader.text()); break;
      default: break;
    }
  }
  return values;
}

// Which parts of a decision's origin follow.
enum OriginPart : uint8_t {
  kOfRequest = 1,
  kHasId = 2,
  kHasVersion = 4,
  kIsFallback = 8,
  kHasVariant = 16,
  kHasKnown = 32
};

void write_origin(ByteWriter& writer, const DecisionRecord& decision) {
  writer.text(decision.model);
  const auto part = [](bool there, OriginPart which) { return there ? which : 0; };
  writer.u8(static_cast<uint8_t>(
      part(decision.trigger == Trigger::kRequest, kOfRequest) | part(!decision.id.empty(), kHasId) |
      part(decision.version.has_value(), kHasVersion) | part(decision.fallback, kIsFallback) |
      part(!decision.variant.empty(), kHasVariant) | part(!decision.known.empty(), kHasKnown)));
  if (!decision.id.empty()) writer.text(decision.id);
  if (decision.version) writer.varint(static_cast<uint64_t>(*decision.version));
  if (!decision.variant.empty()) {
    writer.text(decision.variant);
    writer.f64(decision.propensity);
  }
  if (decision.known.empty()) return;
  writer.varint(decision.known.size());
  for (const auto& [partition, seq] : decision.known) {
    writer.varint(partition.value());
    writer.varint(seq.value());
  }
}

void read_origin(ByteReader& reader, DecisionRecord& decision) {
  decision.model = reader.text();
  const uint8_t parts = reader.u8();
  decision.trigger = (parts & kOfRequest) != 0 ? Trigger::kRequest : Trigger::kEvent;
  decision.fallback = (parts & kIsFallback) != 0;
  if ((parts & kHasId) != 0) decision.id = reader.text();
  if ((parts & kHasVersion) != 0) decision.version = static_cast<int64_t>(reader.varint());
  if ((parts & kHasVariant) != 0) {
    decision.variant = reader.text();
    decision.propensity = reader.f64();
  }
  if ((parts & kHasKnown) == 0) return;
  decision.known.resize(read_count(reader));
  for (auto& [partition, seq] : decision.known) {
    partition = PartitionId{static_cast<uint32_t>(reader.varint())};
    seq = Seq{reader.varint()};
  }
}

// What records of before version 3 say in words.
void read_served_by(std::string_view text, DecisionRecord& decision) {
  const size_t at = text.find('@');
  decision.model = text.substr(0, at);
  if (at == std::string_view::npos) return;
  int64_t version = 0;
  const auto read = std::from_chars(text.data() + at + 1, text.data() + text.size(), version);
  if (read.ec == std::errc()) decision.version = version;
  decision.fallback = text.ends_with(kFallbackMark);
}

// Those that are not kPresent, each with its place.
void write_statuses(ByteWriter& writer, const std::vector<FeatureStatus>& statuses) {
  const auto present = std::count(statuses.begin(), statuses.end(), FeatureStatus::kPresent);
  writer.varint(statuses.size() - static_cast<size_t>(present));
  for (size_t index = 0; index < statuses.size(); ++index) {
    if (statuses[index] == FeatureStatus::kPresent) continue;
    writer.varint(index);
    writer.u8(static_cast<uint8_t>(statuses[index]));
  }
}

bool read_statuses(ByteReader& reader, size_t features, std::vector<FeatureStatus>& statuses) {
  const size_t count = read_count(reader);
  if (count > 0) statuses.assign(features, FeatureStatus::kPresent);
  for (size_t entry = 0; entry < count; ++entry) {
    const uint64_t index = reader.varint();
    if (index >= features) return false;
    statuses[static_cast<size_t>(index)] = static_cast<FeatureStatus>(reader.u8());
  }
  return true;
}

}  // namespace

std::string_view name_of(FeatureStatus status) {
  switch (status) {
    case FeatureStatus::kPresent: return "present";
    case FeatureStatus::kOverflow: return "overflow";
    case FeatureStatus::kOutsideMaxAge: return "outside_max_age";
    case FeatureStatus::kHotKey: return "hot_key";
    case FeatureStatus::kIncomplete: return "incomplete";
  }
  return "unknown";
}

std::string_view name_of(EventStatus status) {
  switch (status) {
    case EventStatus::kOk: return "ok";
    case EventStatus::kLateRepaired: return "late_repaired";
    case EventStatus::kLateDropped: return "late_dropped";
    case EventStatus::kDuplicate: return "duplicate";
    case EventStatus::kQuarantined: return "quarantined";
  }
  return "unknown";
}

void encode_event(const EventFacts& facts, uint64_t schema_fingerprint, std::string_view row_bytes,
                  std::string& out) {
  std::string body;
  body.reserve(40 + row_bytes.size());
  ByteWriter writer(body);
  writer.u32(facts.partition.value());
  writer.u64(facts.seq.value());
  writer.i64(facts.event_time.value());
  writer.i64(facts.known_at.value());
  writer.u8(static_cast<uint8_t>(facts.status));
  writer.u64(schema_fingerprint);
  body.append(row_bytes);
  seal_record(kEvent, kVersion, body, out);
}

Result<StoredEvent> decode_event(std::string_view record) {
  QW_ASSIGN(ByteReader reader, open_body(record, kEvent));
  StoredEvent event;
  event.facts.partition = PartitionId{reader.u32()};
  event.facts.seq = Seq{reader.u64()};
  event.facts.event_time = EventTime{reader.i64()};
  event.facts.known_at = KnownAt{reader.i64()};
  event.facts.status = static_cast<EventStatus>(reader.u8());
  event.schema_fingerprint = reader.u64();
  if (!reader.ok()) return damaged();
  event.row_bytes = reader.rest();
  return event;
}

std::string DecisionRecord::served_by() const {
  std::string text = model;
  if (version) text += "@" + std::to_string(*version);
  if (fallback) text += kFallbackMark;
  return text;
}

void encode_decision(const DecisionRecord& decision, std::string& out) {
  std::string body;
  ByteWriter writer(body);
  writer.text(decision.decision);
  writer.text(decision.key);
  writer.u32(decision.partition.value());
  writer.u64(decision.event_seq.value());
  writer.i64(decision.as_of.value());
  writer.i64(decision.decided_at.value());
  write_origin(writer, decision);
  write_values(writer, decision.features);
  write_values(writer, decision.inputs);
  writer.f64(decision.score);
  writer.u8(decision.warm ? 1 : 0);
  writer.varint(decision.contributions.size());
  for (const double part : decision.contributions) writer.f64(part);
  write_values(writer, decision.outputs);
  writer.u64(decision.schema_id);
  write_statuses(writer, decision.statuses);
  seal_record(kDecision, kDecisionVersion, body, out);
}

Result<DecisionRecord> decode_decision(std::string_view record) {
  uint8_t version = 0;
  QW_ASSIGN(ByteReader reader, open_decision(record, version));
  DecisionRecord decision;
  decision.decision = reader.text();
  decision.key = reader.text();
  decision.partition = PartitionId{reader.u32()};
  decision.event_seq = Seq{reader.u64()};
  decision.as_of = EventTime{reader.i64()};
  decision.decided_at = KnownAt{reader.i64()};
  if (version >= 3)
    read_origin(reader, decision);
  else
    read_served_by(reader.text(), decision);
  decision.features = read_values(reader);
  decision.inputs = read_values(reader);
  decision.score = reader.f64();
  decision.warm = reader.u8() != 0;
  decision.contributions.resize(read_count(reader));
  for (double& part : decision.contributions) part = reader.f64();
  decision.outputs = read_values(reader);
  if (version >= 2) {
    decision.schema_id = reader.u64();
    if (!read_statuses(reader, decision.features.size(), decision.statuses)) return damaged();
  }
  if (!reader.done()) return damaged();
  return decision;
}

Result<std::string_view> decision_key(std::string_view record) {
  uint8_t version = 0;
  QW_ASSIGN(ByteReader reader, open_decision(record, version));
  reader.text();
  const std::string_view key = reader.text();
  if (!reader.ok()) return damaged();
  return key;
}

void encode_journal(const JournalRecord& record, std::string& out) {
  std::string body;
  ByteWriter writer(body);
  writer.text(record.kind);
  writer.i64(record.at_us);
  writer.text(record.json);
  seal_record(kJournal, kVersion, body, out);
}

Result<JournalRecord> decode_journal(std::string_view record) {
  QW_ASSIGN(ByteReader reader, open_body(record, kJournal));
  JournalRecord journal;
  journal.kind = reader.text();
  journal.at_us = reader.i64();
  journal.json = reader.text();
  if (!reader.done()) return damaged();
  return journal;
}

void encode_dead_letter(const DeadLetter& letter, std::string& out) {
  std::string body;
  ByteWriter writer(body);
  writer.text(letter.source);
  writer.text(letter.position);
  writer.text(letter.reason);
  writer.text(std::string_view(letter.raw).substr(0, kDeadLetterRawBytes));
  writer.i64(letter.at_us);
  seal_record(kDeadLetter, kVersion, body, out);
}

Result<DeadLetter> decode_dead_letter(std::string_view record) {
  QW_ASSIGN(ByteReader reader, open_body(record, kDeadLetter));
  DeadLetter letter;
  letter.source = reader.text();
  letter.position = reader.text();
  letter.reason = reader.text();
  letter.raw = reader.text();
  letter.at_us = reader.i64();
  if (!reader.done()) return damaged();
  return letter;
}

}  // namespace qw::schema
