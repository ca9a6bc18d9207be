#include "streams/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "base/crash_watch.h"
#include "base/time_text.h"
#include "store/commit/meta_names.h"
#include "streams/decoders/decoder.h"

namespace qw::streams {
namespace {

constexpr uint8_t kPartitionKind = 40, kVersion = 2;
// Of an id in memory: its node in the map, its share of the buckets, its place in a slice.
constexpr size_t kIdBytes = 104;

Error bad(const GateOptions& options, std::string message, std::string mend) {
  return Error{ErrorCode::kBadInput, std::move(message), options.source, std::move(mend)};
}

Result<void> check_limits(const GateOptions& options) {
  const std::pair<const char*, int64_t> limits[] = {
      {"allowed_lateness", options.allowed_lateness_us},
      {"max_future", options.max_future_us},
      {"idle_after", options.idle_after_us},
      {"dedup_horizon", options.dedup_horizon_us}};
  for (const auto& [name, value] : limits)
    if (value < 0) return bad(options, fmt::format("{} is negative", name), "give 0 or more");
  if (options.min_event_time_us >= options.max_event_time_us)
    return bad(options, "min_event_time is not before max_event_time", "");
  if (!options.event_id.empty() &&
      (options.dedup_memory_bytes < kIdBytes || options.dedup_horizon_us < 1'000))
    return bad(options, "an event_id is named but nothing may be remembered",
               "give a dedup_horizon and dedup_memory above 0");
  return {};
}

int64_t saturating_sub(int64_t a, int64_t b) {
  int64_t out = 0;
  if (__builtin_sub_overflow(a, b, &out)) return b > 0 ? INT64_MIN : INT64_MAX;
  return out;
}

Receipt::Fate fate_of(schema::EventStatus status) {
  switch (status) {
    case schema::EventStatus::kLateDropped: return Receipt::Fate::kLate;
    case schema::EventStatus::kDuplicate: return Receipt::Fate::kDuplicate;
    case schema::EventStatus::kQuarantined: return Receipt::Fate::kDead;
    default: return Receipt::Fate::kAccepted;
  }
}

}  // namespace

// One row on its way through the checks.
struct Gate::Row {
  const SourceBatch& batch;
  size_t index;
  PartitionId partition;
  Seq seq;
  int64_t event_time_us;
  int64_t known_at_us;
  int64_t arrived_us;  // the same, but for imported history
  std::optional<EventIdHash> id;
  std::vector<size_t> nulled;  // columns that an expectation empties
  Receipt::Row judged;
};

Gate::Gate(GateOptions options)
    : options_(std::move(options)),
      ids_({meta_prefix(), options_.dedup_horizon_us, options_.dedup_memory_bytes / kIdBytes}) {}

Result<Gate> Gate::make(GateOptions options) {
  if (options.schema == nullptr) return bad(options, "the source has no schema", "");
  QW_TRY(check_limits(options));
  Gate gate(std::move(options));
  const GateOptions& o = gate.options_;
  const auto time_column = o.schema->index_of(o.event_time);
  if (!time_column || o.schema->field(*time_column).type.kind != schema::Kind::kTimestamp)
    return bad(o, fmt::format("event_time '{}' is not a timestamp column", o.event_time),
               "name a column of type timestamp");
  gate.event_time_column_ = *time_column;
  if (!o.event_id.empty()) {
    const auto id_column = o.schema->index_of(o.event_id);
    if (!id_column || (o.schema->field(*id_column).type.kind != schema::Kind::kString &&
                       o.schema->field(*id_column).type.kind != schema::Kind::kInt64))
      return bad(o, fmt::format("event_id '{}' is not a string or int64 column", o.event_id), "");
    gate.event_id_column_ = *id_column;
  }
  for (const Expectation& expectation : o.expectations) {
    QW_ASSIGN(auto compiled, CompiledExpectation::make(expectation, *o.schema));
    if (compiled.column() == *time_column && expectation.on_fail == OnFail::kNull)
      return bad(o, "on_fail: null on the event time", "use quarantine or drop");
    gate.expectations_.push_back(std::move(compiled));
  }
  return gate;
}

Result<Gated> Gate::admit(PartitionId to_partition, SourceBatch&& batch, KnownAt known_at) {
  Gated out{schema::EventBatch{schema::Batch(options_.schema), {}}, {}};
  PartitionState& state = partitions_[to_partition];
  imported_ = batch.imported;
  admitted_ = true;
  for (Rejected& rejected : batch.rejected) {
    ++counts_.rejected;
    out.dead_letters.push_back({options_.source, std::move(rejected.position),
                                std::move(rejected.reason), std::move(rejected.raw),
                                known_at.value()});
  }
  for (size_t row = 0; row < batch.rows.rows(); ++row)
    QW_TRY(admit_row(to_partition, state, batch, row, known_at, out));
  if (event_id_column_)
    ids_.forget_before(saturating_sub(imported_ ? history_us(state) : known_at.value(),
                                      options_.dedup_horizon_us));
  return out;
}

Result<void> Gate::admit_row(PartitionId to_partition, PartitionState& state,
                             const SourceBatch& batch, size_t index, KnownAt known_at, Gated& out) {
  const bool numbered = !batch.positions.empty();
  const uint64_t seq = numbered ? batch.positions[index] : state.last_seq + 1;
  if (seq <= state.last_seq) {
    ++counts_.replayed;
    return {};
  }
  const auto& times = batch.rows.column(event_time_column_);
  const int64_t time_us = times.valid(index) ? times.int_at(index) : INT64_MIN;
  int64_t arrived_us = known_at.value();
  if (!batch.arrived_us.empty()) arrived_us = std::min(arrived_us, batch.arrived_us[index]);
  const int64_t known_us =
      batch.imported ? saturating_sub(time_us, -options_.assumed_delay_us) : arrived_us;
  Row row{batch,    index,      to_partition,        Seq{seq}, time_us,
          known_us, arrived_us, id_of(batch, index), {},       {}};
  state.dirty = true;
  state.last_known_us = std::max(state.last_known_us, known_at.value());
  if (numbered) state.last_seq = seq;
  QW_TRY(judge_row(row, state, out));
  if (batch.receipt) batch.receipt->rows.push_back(std::move(row.judged));
  return {};
}

Result<void> Gate::judge_row(Row& row, PartitionState& state, Gated& out) {
  if (refuse_time(row, out)) return {};

  bool quarantined = false;
  schema::EventStatus status = schema::EventStatus::kDuplicate;
  QW_ASSIGN(const bool seen, seen_before(row, state));
  if (seen) {
    ++counts_.duplicate;
  } else if (!meet_expectations(row, quarantined, out)) {
    row.judged.fate = Receipt::Fate::kDropped;
    return {};
  } else if (!quarantined && crashed_before(row)) {
    bury(row, std::string(kCrashedBefore), out);
    status = schema::EventStatus::kQuarantined;
    ++counts_.quarantined;
  } else if (quarantined) {
    status = schema::EventStatus::kQuarantined;
    ++counts_.quarantined;
  } else {
    status = decide(state, row, out);
  }
  row.judged.fate = fate_of(status);
  state.last_seq = row.seq.value();
  for (size_t i = 0; i < row.batch.rows.columns().size(); ++i) {
    auto& column = out.events.rows.column(i);
    if (std::find(row.nulled.begin(), row.nulled.end(), i) != row.nulled.end())
      column.append_null();
    else
      column.append_from(row.batch.rows.column(i), row.index);
  }
  out.events.facts.push_back(
      {row.partition, row.seq, EventTime{row.event_time_us}, KnownAt{row.known_at_us}, status});
  return {};
}

schema::EventStatus Gate::decide(PartitionState& state, Row& row, Gated& out) {
  if (row.id) ids_.add(*row.id, row.known_at_us);
  const int64_t watermark_us = state.watermark.value_us();
  const Lateness lateness = state.watermark.pass(row.event_time_us, row.arrived_us, !imported_,
                                                 options_.allowed_lateness_us);
  if (lateness == Lateness::kNone) {
    ++counts_.ok;
    return schema::EventStatus::kOk;
  }
  if (lateness == Lateness::kBehind || (imported_ && !options_.imported_is_late)) {
    ++counts_.late_repaired;
    return schema::EventStatus::kLateRepaired;
  }
  ++counts_.late_dropped;
  if (options_.late != LateEvents::kDeadLetter) return schema::EventStatus::kLateDropped;
  ++counts_.late_buried;
  bury(row,
       fmt::format("late: the event time {} is {} s behind the newest; allowed_lateness is {} s",
                   format_time(row.event_time_us), (watermark_us - row.event_time_us) / 1'000'000,
                   options_.allowed_lateness_us / 1'000'000),
       out);
  return schema::EventStatus::kLateDropped;
}

// Now, for imported history: a time that enough of it has come to.
int64_t Gate::history_us(const PartitionState& state) const {
  return saturating_sub(state.watermark.value_us(), -options_.assumed_delay_us);
}

bool Gate::refuse_time(Row& row, Gated& out) {
  if (row.event_time_us < options_.min_event_time_us ||
      row.event_time_us > options_.max_event_time_us) {
    ++counts_.absurd_time;
    const bool null = row.event_time_us == INT64_MIN;
    bury(row,
         null ? fmt::format("column '{}' (the event time) is null", options_.event_time)
              : fmt::format("the event time {} is outside {} .. {}", row.event_time_us,
                            options_.min_event_time_us, options_.max_event_time_us),
         out);
    return true;
  }
  if (row.event_time_us - row.arrived_us > options_.max_future_us) {
    ++counts_.future;
    bury(row,
         fmt::format("the event time {} is {} s ahead of its arrival {}; max_future is {} s",
                     format_time(row.event_time_us),
                     (row.event_time_us - row.arrived_us) / 1'000'000, format_time(row.arrived_us),
                     options_.max_future_us / 1'000'000),
         out);
    return true;
  }
  return false;
}

bool Gate::meet_expectations(Row& row, bool& quarantined, Gated& out) {
  std::string complaints;
  for (const CompiledExpectation& expectation : expectations_) {
    const auto& column = row.batch.rows.column(expectation.column());
    if (expectation.holds(column, row.index)) continue;
    switch (expectation.on_fail()) {
      case OnFail::kDrop: ++counts_.dropped; return false;
      case OnFail::kWarn: ++counts_.warned; break;
      case OnFail::kNull:
        ++counts_.nulled;
        row.nulled.push_back(expectation.column());
        break;
      case OnFail::kQuarantine:
        quarantined = true;
        if (!complaints.empty()) complaints += "; ";
        complaints += expectation.complaint(column, row.index);
        break;
    }
  }
  if (quarantined) bury(row, "quarantined: " + complaints, out);
  return true;
}

// Whether applying this row crashed the process; the row as it would be applied.
bool Gate::crashed_before(const Row& row) const {
  if (!any_quarantined()) return false;
  schema::Batch one(options_.schema);
  one.append_row_from(row.batch.rows, row.index);
  if (!row.nulled.empty()) {
    std::vector<schema::Value> values;
    for (const schema::Column& column : one.columns()) values.push_back(column.value_at(0));
    for (const size_t index : row.nulled) values[index] = {};
    one.clear();
    one.append_row(values);
  }
  std::string bytes;
  schema::encode_row(one, 0, bytes);
  return is_quarantined(bytes);
}

void Gate::bury(Row& row, std::string reason, Gated& out) const {
  row.judged = {Receipt::Fate::kDead, reason};
  std::string raw = row_json(row.batch.rows, row.index);
  if (raw.size() > schema::kDeadLetterRawBytes) {
    raw.resize(schema::kDeadLetterRawBytes);
    reason += " (the record is cut)";
  }
  out.dead_letters.push_back(
      {options_.source,
       fmt::format("{}[{}]@{}", options_.source, row.batch.partition, row.seq.value()),
       std::move(reason), std::move(raw), row.known_at_us});
}

std::optional<EventIdHash> Gate::id_of(const SourceBatch& batch, size_t row) const {
  if (!event_id_column_ || !batch.rows.column(*event_id_column_).valid(row)) return std::nullopt;
  const auto& column = batch.rows.column(*event_id_column_);
  // Two hashes of differently salted text: 128 bits, so that two ids never meet by chance.
  std::string text =
      "1" + (column.type().kind == schema::Kind::kString ? std::string(column.string_at(row))
                                                         : std::to_string(column.int_at(row)));
  EventIdHash key;
  key.high = checksum64(text);
  text.front() = '2';
  key.low = checksum64(text);
  return key;
}

Result<bool> Gate::seen_before(const Row& row, const PartitionState& state) const {
  if (!row.id) return false;
  return ids_.contains(*row.id,
                       imported_ ? std::max(row.known_at_us, history_us(state)) : row.known_at_us);
}

void Gate::tick(KnownAt now) {
  if (event_id_column_ && admitted_ && !imported_)
    ids_.forget_before(saturating_sub(now.value(), options_.dedup_horizon_us));
  if (options_.idle_after_us == 0) return;
  const int64_t moved_us = now.value() - options_.idle_after_us;
  for (auto& [partition, state] : partitions_) {
    if (state.last_known_us > moved_us || state.watermark.value_us() >= moved_us) continue;
    state.watermark.raise(moved_us);
    state.dirty = true;
  }
}

EventTime Gate::watermark(PartitionId partition) const {
  const auto found = partitions_.find(partition);
  return EventTime{found == partitions_.end() ? INT64_MIN : found->second.watermark.value_us()};
}

Seq Gate::last_seq(PartitionId partition) const {
  const auto found = partitions_.find(partition);
  return Seq{found == partitions_.end() ? 0 : found->second.last_seq};
}

std::string Gate::meta_prefix() const { return store::meta::gate(options_.source); }

StoredChanges Gate::take_changes() {
  StoredChanges changes;
  for (auto& [partition, state] : partitions_) {
    if (!state.dirty) continue;
    state.dirty = false;
    std::string body, sealed;
    ByteWriter writer(body);
    writer.u64(state.last_seq);
    writer.i64(state.last_known_us);
    state.watermark.write(writer);
    seal_record(kPartitionKind, kVersion, body, sealed);
    changes.put.emplace_back(store::meta::gate_partition(options_.source, partition), sealed);
  }
  ids_.take_changes(changes);
  return changes;
}

Result<void> Gate::restore_value(std::string_view name, std::string_view value) {
  const auto damaged = [&] {
    return Error{ErrorCode::kCorrupt, "the saved ingest state is damaged", std::string(name),
                 "restore the data folder from a copy"};
  };
  std::string_view rest = name;
  if (!rest.starts_with(meta_prefix())) return damaged();
  rest.remove_prefix(meta_prefix().size());
  if (!rest.starts_with(store::meta::kGatePartition)) return ids_.restore_value(rest, value);
  rest.remove_prefix(store::meta::kGatePartition.size());
  QW_ASSIGN(const SealedRecord sealed, open_record(value));
  if (sealed.version > kVersion)
    return Error{ErrorCode::kUnsupported, "the ingest state was written by a newer Quickwater",
                 std::string(name), "start the newer version"};
  ByteReader reader(sealed.body);
  PartitionState state;
  if (sealed.version == 1) state.watermark = Watermark::settled_at(reader.i64());
  state.last_seq = reader.u64();
  state.last_known_us = reader.i64();
  if (sealed.version > 1) state.watermark.read(reader);
  uint32_t partition = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), partition);
  if (parsed.ec != std::errc{} || sealed.kind != kPartitionKind || !reader.done()) return damaged();
  partitions_[PartitionId{partition}] = state;
  return {};
}

}  // namespace qw::streams
