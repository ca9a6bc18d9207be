#include "streams/seen_ids.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"

namespace qw::streams {
namespace {

constexpr uint8_t kChunkKind = 41, kRunKind = 47, kVersion = 1;
constexpr int64_t kSlicesPerHorizon = 32;
constexpr size_t kSliceIds = 4096;      // so that writing one out takes about a millisecond
constexpr int64_t kRunsPerHorizon = 2;  // an id that is not here costs a look into each of three

int64_t saturating_sub(int64_t a, int64_t b) {
  int64_t out = 0;
  if (__builtin_sub_overflow(a, b, &out)) return b > 0 ? INT64_MIN : INT64_MAX;
  return out;
}

void append_row_name(const EventIdHash& id, std::string& name) {
  ByteWriter writer(name);
  writer.u64(id.high);
  writer.u64(id.low);
}

Error damaged(std::string_view name) {
  return Error{ErrorCode::kCorrupt, "the saved event ids are damaged", std::string(name),
               "restore the data folder from a copy"};
}

}  // namespace

Result<bool> SeenIds::contains(const EventIdHash& id, int64_t at_us) const {
  const auto within = [&](int64_t then_us) {
    return saturating_sub(at_us, then_us) <= options_.horizon_us;
  };
  if (const auto found = ids_.find(id); found != ids_.end() && within(found->second.at_us))
    return true;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (!lookup_ || !within(run->last_us)) continue;
    std::string name = run->prefix;
    append_row_name(id, name);
    QW_ASSIGN(const std::optional<std::string> row, lookup_(name));
    if (!row) continue;
    ByteReader reader(*row);
    const int64_t then_us = reader.i64();
    if (!reader.done()) return damaged(run->prefix);
    if (within(then_us)) return true;
  }
  return false;
}

// The slice that takes the next id: a new one when the last is full or spans its share of the
// horizon.
SeenIds::Slice& SeenIds::open_slice(int64_t at_us) {
  const size_t most = std::clamp<size_t>(options_.memory_ids / kSlicesPerHorizon, 1, kSliceIds);
  const int64_t span_us = options_.horizon_us / kSlicesPerHorizon;
  if (slices_.size() == spilled_ || slices_.back().ids.size() >= most ||
      saturating_sub(at_us, slices_.back().first_us) > span_us) {
    sweep(forgotten_before_us_);
    slices_.emplace_back();
    slices_.back().number = next_slice_++;
  }
  return slices_.back();
}

void SeenIds::append(Slice& slice, const EventIdHash& id, int64_t at_us) {
  slice.first_us = std::min(slice.first_us, at_us);
  slice.last_us = std::max(slice.last_us, at_us);
  slice.ids.emplace_back(id, at_us);
  ids_[id] = Remembered{at_us, slice.number};
}

void SeenIds::add(const EventIdHash& id, int64_t at_us) { append(open_slice(at_us), id, at_us); }

void SeenIds::drop_from_memory(Slice& slice) {
  for (const auto& [id, at_us] : slice.ids) {
    const auto entry = ids_.find(id);
    // An id seen again after its horizon lives on in a later slice.
    if (entry != ids_.end() && entry->second.slice == slice.number) ids_.erase(entry);
  }
  for (const uint64_t chunk : slice.chunks)
    erase_.push_back(store::meta::gate_chunk(options_.prefix, chunk));
}

void SeenIds::forget_before(int64_t at_us) {
  forgotten_before_us_ = at_us;
  while (slices_.size() > spilled_ && slices_[spilled_].last_us < at_us) {
    ++slices_visited_;
    drop_from_memory(slices_[spilled_]);
    slices_.erase(slices_.begin() + static_cast<ptrdiff_t>(spilled_));
  }
  if (spilled_ > 0) return;  // what waits to leave memory asks for its run
  std::erase_if(runs_, [&](const Run& run) {
    if (run.last_us >= at_us) return false;
    erase_prefix_.push_back(run.prefix);
    erase_.push_back(run.name);
    return true;
  });
}

// Times do not always rise: what is old may lie behind something that is not. Once a slice, not
// once an id.
void SeenIds::sweep(int64_t before_us) {
  slices_visited_ += slices_.size();
  const auto old = [&](Slice& slice) {
    if (slice.last_us >= before_us || !slice.run.empty()) return false;
    drop_from_memory(slice);
    return true;
  };
  std::erase_if(slices_, old);
}

uint64_t SeenIds::on_disk() const {
  uint64_t ids = 0;
  for (const Run& run : runs_) ids += run.ids;
  return ids;
}

void SeenIds::take_changes(StoredChanges& changes) {
  stage_chunks(changes);
  spill(changes);
  std::move(erase_.begin(), erase_.end(), std::back_inserter(changes.erase));
  std::move(erase_prefix_.begin(), erase_prefix_.end(), std::back_inserter(changes.erase_prefix));
  erase_.clear();
  erase_prefix_.clear();
}

// What was added since the last time lies in the last slices.
void SeenIds::stage_chunks(StoredChanges& changes) {
  size_t first = slices_.size();
  while (first > 0 && slices_[first - 1].staged < slices_[first - 1].ids.size()) --first;
  slices_visited_ += slices_.size() - first + 1;
  for (; first < slices_.size(); ++first) {
    Slice& slice = slices_[first];
    std::string body, sealed;
    ByteWriter writer(body);
    for (size_t i = slice.staged; i < slice.ids.size(); ++i) {
      writer.u64(slice.ids[i].first.high);
      writer.u64(slice.ids[i].first.low);
      writer.i64(slice.ids[i].second);
    }
    seal_record(kChunkKind, kVersion, body, sealed);
    changes.put.emplace_back(store::meta::gate_chunk(options_.prefix, next_chunk_),
                             std::move(sealed));
    slice.chunks.push_back(next_chunk_++);
    slice.staged = slice.ids.size();
  }
}

// Whether the rows of a slice are in the store: committed with the count of its run.
bool SeenIds::committed(const Slice& slice) const {
  const auto value = lookup_(slice.run);
  if (!value.ok() || !value->has_value()) return false;
  Run run;
  return read_run(**value, run) && run.ids >= slice.run_ids;
}

// The oldest slices beyond memory become rows. They leave memory once those are committed.
void SeenIds::spill(StoredChanges& changes) {
  while (spilled_ > 0 && committed(slices_.front())) {
    ++slices_visited_;
    spilled_ids_ -= slices_.front().ids.size();
    drop_from_memory(slices_.front());
    slices_.pop_front();
    --spilled_;
  }
  while (lookup_ && slices_.size() > spilled_ + 1 &&
         ids_.size() > options_.memory_ids + spilled_ids_) {
    ++slices_visited_;
    write_to_run(slices_[spilled_], changes);
    spilled_ids_ += slices_[spilled_++].ids.size();
  }
}

SeenIds::Run& SeenIds::open_run(const Slice& slice) {
  if (runs_.empty() || saturating_sub(slice.last_us, runs_.back().first_us) >
                           options_.horizon_us / kRunsPerHorizon) {
    runs_.emplace_back();
    name_run(next_run_++, runs_.back());
  }
  Run& run = runs_.back();
  run.first_us = std::min(run.first_us, slice.first_us);
  run.last_us = std::max(run.last_us, slice.last_us);
  run.ids += slice.ids.size();
  return run;
}

void SeenIds::name_run(uint64_t number, Run& run) const {
  run.name = store::meta::gate_run(options_.prefix, number);
  run.prefix = store::meta::gate_seen(options_.prefix, number);
}

bool SeenIds::read_run(std::string_view value, Run& run) {
  const auto sealed = open_record(value);
  if (!sealed.ok() || sealed->kind != kRunKind) return false;
  ByteReader reader(sealed->body);
  run.first_us = reader.i64();
  run.last_us = reader.i64();
  run.ids = reader.u64();
  return reader.done();
}

void SeenIds::write_to_run(Slice& slice, StoredChanges& changes) {
  const Run& run = open_run(slice);
  for (const auto& [id, at_us] : slice.ids) {
    std::string name = run.prefix, value;
    append_row_name(id, name);
    ByteWriter(value).i64(at_us);
    changes.put.emplace_back(std::move(name), std::move(value));
  }
  slice.run = run.name;
  slice.run_ids = run.ids;
  std::string body, sealed;
  ByteWriter writer(body);
  writer.i64(run.first_us);
  writer.i64(run.last_us);
  writer.u64(run.ids);
  seal_record(kRunKind, kVersion, body, sealed);
  changes.put.emplace_back(run.name, std::move(sealed));
  for (const uint64_t chunk : slice.chunks)
    erase_.push_back(store::meta::gate_chunk(options_.prefix, chunk));
  slice.chunks.clear();
}

Result<void> SeenIds::restore_value(std::string_view rest, std::string_view value) {
  uint64_t number = 0;
  const std::string_view digits = rest.substr(rest.find('/') + 1);
  if (std::from_chars(digits.data(), digits.data() + digits.size(), number, 16).ec != std::errc{})
    return damaged(rest);
  if (rest.starts_with(store::meta::kGateChunk)) {
    QW_ASSIGN(const SealedRecord sealed, open_record(value));
    return sealed.kind == kChunkKind ? restore_chunk(number, sealed.body) : damaged(rest);
  }
  Run run;
  if (!rest.starts_with(store::meta::kGateRun) || !read_run(value, run)) return damaged(rest);
  name_run(number, run);
  next_run_ = std::max(next_run_, number + 1);
  runs_.push_back(std::move(run));
  return {};
}

// Chunks are small, one a commit: they are put together again into slices.
Result<void> SeenIds::restore_chunk(uint64_t number, std::string_view body) {
  next_chunk_ = std::max(next_chunk_, number + 1);
  ByteReader reader(body);
  Slice* slice = nullptr;
  while (reader.ok() && !reader.rest().empty()) {
    EventIdHash id;
    id.high = reader.u64();
    id.low = reader.u64();
    const int64_t at_us = reader.i64();
    if (slice == nullptr) slice = &open_slice(at_us);
    append(*slice, id, at_us);
  }
  if (!reader.ok() || slice == nullptr) return damaged(store::meta::kGateChunk);
  slice->chunks.push_back(number);
  slice->staged = slice->ids.size();
  return {};
}

}  // namespace qw::streams
