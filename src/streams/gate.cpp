#include "streams/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "base/crash_watch.h"
#include "streams/decoders/decoder.h"
#include "streams/decoders/time.h"

namespace qw::streams {
namespace {

constexpr int64_t kSlicesPerHorizon = 32;
constexpr uint8_t kPartitionKind = 40, kChunkKind = 41, kVersion = 1;

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
      (options.dedup_max_ids == 0 || options.dedup_horizon_us < kSlicesPerHorizon))
    return bad(options, "an event_id is named but nothing may be remembered",
               "give a dedup horizon and dedup_max_ids above 0");
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
  std::optional<IdKey> id;
  std::vector<size_t> nulled;  // columns that an expectation empties
  Receipt::Row judged;
};

Gate::Gate(GateOptions options) : options_(std::move(options)) {}

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

Gated Gate::admit(PartitionId to_partition, SourceBatch&& batch, KnownAt known_at) {
  Gated out{schema::EventBatch{schema::Batch(options_.schema), {}}, {}};
  PartitionState& state = partitions_[to_partition];
  imported_ = batch.imported;
  for (Rejected& rejected : batch.rejected) {
    ++counts_.rejected;
    out.dead_letters.push_back({options_.source, std::move(rejected.position),
                                std::move(rejected.reason), std::move(rejected.raw),
                                known_at.value()});
  }
  for (size_t row = 0; row < batch.rows.rows(); ++row)
    admit_row(to_partition, state, batch, row, known_at, out);
  if (event_id_column_ && !imported_) forget_before(known_at.value() - options_.dedup_horizon_us);
  return out;
}

void Gate::admit_row(PartitionId to_partition, PartitionState& state, const SourceBatch& batch,
                     size_t index, KnownAt known_at, Gated& out) {
  const bool numbered = !batch.positions.empty();
  const uint64_t seq = numbered ? batch.positions[index] : state.last_seq + 1;
  if (seq <= state.last_seq) {
    ++counts_.replayed;
    return;
  }
  const auto& times = batch.rows.column(event_time_column_);
  const int64_t time_us = times.valid(index) ? times.int_at(index) : INT64_MIN;
  const int64_t known_us =
      batch.imported ? saturating_sub(time_us, -options_.assumed_delay_us) : known_at.value();
  Row row{batch,   index,    to_partition,     Seq{seq},
          time_us, known_us, known_at.value(), id_of(batch, index),
          {},      {}};
  state.dirty = true;
  state.last_known_us = std::max(state.last_known_us, known_at.value());
  if (numbered) state.last_seq = seq;
  judge_row(row, state, out);
  if (batch.receipt) batch.receipt->rows.push_back(std::move(row.judged));
}

void Gate::judge_row(Row& row, PartitionState& state, Gated& out) {
  if (refuse_time(row, out)) return;

  bool quarantined = false;
  schema::EventStatus status = schema::EventStatus::kDuplicate;
  if (seen_before(row)) {
    ++counts_.duplicate;
  } else if (!meet_expectations(row, quarantined, out)) {
    row.judged.fate = Receipt::Fate::kDropped;
    return;
  } else if (!quarantined && crashed_before(row)) {
    bury(row, std::string(kCrashedBefore), out);
    status = schema::EventStatus::kQuarantined;
    ++counts_.quarantined;
  } else if (quarantined) {
    status = schema::EventStatus::kQuarantined;
    ++counts_.quarantined;
  } else {
    status = decide(state, row);
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
}

schema::EventStatus Gate::decide(PartitionState& state, const Row& row) {
  if (row.id) {
    if (imported_) forget_before(saturating_sub(row.known_at_us, options_.dedup_horizon_us));
    remember(*row.id, row.known_at_us);
  }
  const int64_t time_us = row.event_time_us;
  if (time_us < saturating_sub(state.watermark_us, options_.allowed_lateness_us)) {
    ++counts_.late_dropped;
    return schema::EventStatus::kLateDropped;
  }
  if (time_us < state.watermark_us) {
    ++counts_.late_repaired;
    return schema::EventStatus::kLateRepaired;
  }
  ++counts_.ok;
  state.watermark_us = time_us;
  return schema::EventStatus::kOk;
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

std::optional<Gate::IdKey> Gate::id_of(const SourceBatch& batch, size_t row) const {
  if (!event_id_column_ || !batch.rows.column(*event_id_column_).valid(row)) return std::nullopt;
  const auto& column = batch.rows.column(*event_id_column_);
  // Two hashes of differently salted text: 128 bits, so that two ids never meet by chance.
  std::string text =
      "1" + (column.type().kind == schema::Kind::kString ? std::string(column.string_at(row))
                                                         : std::to_string(column.int_at(row)));
  IdKey key;
  key.high = checksum64(text);
  text.front() = '2';
  key.low = checksum64(text);
  return key;
}

bool Gate::seen_before(const Row& row) const {
  if (!row.id) return false;
  const auto found = ids_.find(*row.id);
  return found != ids_.end() &&
         row.known_at_us - found->second.known_at_us <= options_.dedup_horizon_us;
}

// The slice that takes the next id: a new one when the last is full or spans its share of the
// horizon.
Gate::Slice& Gate::open_slice(int64_t known_at_us) {
  const size_t most = std::max<size_t>(1, options_.dedup_max_ids / kSlicesPerHorizon);
  const int64_t span_us = options_.dedup_horizon_us / kSlicesPerHorizon;
  if (slices_.empty() || slices_.back().ids.size() >= most ||
      known_at_us - slices_.back().first_known_us > span_us) {
    slices_.emplace_back();
    slices_.back().number = next_slice_++;
  }
  Slice& slice = slices_.back();
  slice.first_known_us = std::min(slice.first_known_us, known_at_us);
  slice.last_known_us = std::max(slice.last_known_us, known_at_us);
  return slice;
}

void Gate::remember(const IdKey& id, int64_t known_at_us) {
  Slice& slice = open_slice(known_at_us);
  slice.ids.emplace_back(id, known_at_us);
  ids_[id] = Remembered{known_at_us, slice.number};
  while (ids_.size() > options_.dedup_max_ids) {
    const size_t before = ids_.size();
    forget_oldest_slice();
    counts_.ids_forgotten_early += before - ids_.size();
  }
}

void Gate::forget_before(int64_t known_at_us) {
  while (!slices_.empty() && slices_.front().last_known_us < known_at_us) forget_oldest_slice();
}

void Gate::forget_oldest_slice() {
  Slice& slice = slices_.front();
  for (const auto& [id, known_at_us] : slice.ids) {
    const auto entry = ids_.find(id);
    // An id seen again after its horizon lives on in a later slice.
    if (entry != ids_.end() && entry->second.slice == slice.number) ids_.erase(entry);
  }
  for (const uint64_t chunk : slice.chunks)
    erase_.push_back(fmt::format("{}ids/{:016x}", meta_prefix(), chunk));
  slices_.pop_front();
}

void Gate::tick(KnownAt now) {
  if (event_id_column_ && !imported_) forget_before(now.value() - options_.dedup_horizon_us);
  if (options_.idle_after_us == 0) return;
  const int64_t moved_us = now.value() - options_.idle_after_us;
  for (auto& [partition, state] : partitions_) {
    if (state.last_known_us > moved_us || state.watermark_us >= moved_us) continue;
    state.watermark_us = moved_us;
    state.dirty = true;
  }
}

EventTime Gate::watermark(PartitionId partition) const {
  const auto found = partitions_.find(partition);
  return EventTime{found == partitions_.end() ? INT64_MIN : found->second.watermark_us};
}

Seq Gate::last_seq(PartitionId partition) const {
  const auto found = partitions_.find(partition);
  return Seq{found == partitions_.end() ? 0 : found->second.last_seq};
}

std::string Gate::meta_prefix() const { return "gate/" + options_.source + "/"; }

Gate::Changes Gate::take_changes() {
  Changes changes;
  for (auto& [partition, state] : partitions_) {
    if (!state.dirty) continue;
    state.dirty = false;
    std::string body, sealed;
    ByteWriter writer(body);
    writer.i64(state.watermark_us);
    writer.u64(state.last_seq);
    writer.i64(state.last_known_us);
    seal_record(kPartitionKind, kVersion, body, sealed);
    changes.put.emplace_back(fmt::format("{}p/{}", meta_prefix(), partition.value()), sealed);
  }
  for (Slice& slice : slices_) {
    if (slice.staged == slice.ids.size()) continue;
    std::string body, sealed;
    ByteWriter writer(body);
    for (size_t i = slice.staged; i < slice.ids.size(); ++i) {
      writer.u64(slice.ids[i].first.high);
      writer.u64(slice.ids[i].first.low);
      writer.i64(slice.ids[i].second);
    }
    seal_record(kChunkKind, kVersion, body, sealed);
    changes.put.emplace_back(fmt::format("{}ids/{:016x}", meta_prefix(), next_chunk_), sealed);
    slice.chunks.push_back(next_chunk_++);
    slice.staged = slice.ids.size();
  }
  changes.erase.swap(erase_);
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
  QW_ASSIGN(const SealedRecord sealed, open_record(value));
  ByteReader reader(sealed.body);
  if (rest.starts_with("p/")) {
    uint32_t partition = 0;
    rest.remove_prefix(2);
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), partition);
    PartitionState state{reader.i64(), reader.u64(), reader.i64(), false};
    if (parsed.ec != std::errc{} || sealed.kind != kPartitionKind || !reader.done())
      return damaged();
    partitions_[PartitionId{partition}] = state;
    return {};
  }
  uint64_t chunk = 0;
  if (!rest.starts_with("ids/") || sealed.kind != kChunkKind) return damaged();
  rest.remove_prefix(4);
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), chunk, 16);
  if (parsed.ec != std::errc{}) return damaged();
  next_chunk_ = std::max(next_chunk_, chunk + 1);
  Slice slice;
  while (reader.ok() && !reader.rest().empty()) {
    const uint64_t high = reader.u64();
    const uint64_t low = reader.u64();
    slice.ids.emplace_back(IdKey{high, low}, reader.i64());
  }
  if (!reader.ok() || slice.ids.empty()) return damaged();
  slice.number = next_slice_++;
  slice.chunks.push_back(chunk);
  slice.staged = slice.ids.size();
  for (const auto& [id, known_at_us] : slice.ids) {
    slice.first_known_us = std::min(slice.first_known_us, known_at_us);
    slice.last_known_us = std::max(slice.last_known_us, known_at_us);
    ids_[id] = Remembered{known_at_us, slice.number};
  }
  slices_.push_back(std::move(slice));
  return {};
}

}  // namespace qw::streams
