#include "store/segments/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "store/commit/meta_names.h"

namespace qw::store {
namespace {

constexpr uint8_t kRowKind = 17;
constexpr uint8_t kRowVersion = 2;  // 1: without checksum and `dated`

std::string row_name(const Segment& segment) {
  return meta::segment(segment.log, segment.partition, segment.from);
}

std::string encode(const Segment& segment) {
  std::string body;
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(segment.log));
  writer.u32(segment.partition.value());
  writer.u64(segment.from.value());
  writer.u64(segment.to.value());
  writer.u64(segment.records);
  writer.u64(segment.bytes);
  writer.u64(segment.schema_id);
  writer.i64(segment.rolled_us);
  writer.u64(segment.checksum);
  writer.u8(segment.dated ? 1 : 0);
  std::string sealed;
  seal_record(kRowKind, kRowVersion, body, sealed);
  return sealed;
}

Result<Segment> decode(std::string_view name, std::string_view sealed) {
  const Error damaged{ErrorCode::kCorrupt, "the list of segments is damaged", std::string(name),
                      kMendDamage};
  const auto record = open_record(sealed);
  if (!record.ok() || record->kind != kRowKind) return damaged;
  if (record->version > kRowVersion)
    return Error{ErrorCode::kUnsupported, "a segment was listed by a newer Quickwater",
                 std::string(name), "start the newer version, or use a fresh data folder"};
  ByteReader reader(record->body);
  Segment segment;
  segment.log = static_cast<Log>(reader.u8());
  segment.partition = PartitionId{reader.u32()};
  segment.from = Seq{reader.u64()};
  segment.to = Seq{reader.u64()};
  segment.records = reader.u64();
  segment.bytes = reader.u64();
  segment.schema_id = reader.u64();
  segment.rolled_us = reader.i64();
  if (record->version >= 2) {
    segment.checksum = reader.u64();
    segment.dated = reader.u8() != 0;
  }
  if (!reader.done() || row_name(segment) != name) return damaged;
  return segment;
}

Result<std::vector<Segment>> listed(const Store& store, std::string_view prefix) {
  std::vector<Segment> all;
  Result<void> read;
  QW_TRY(store.scan_meta(prefix, [&](std::string_view name, std::string_view sealed) {
    auto segment = decode(name, sealed);
    if (segment.ok())
      all.push_back(*segment);
    else
      read = segment.error();
    return read.ok();
  }));
  QW_TRY(read);
  return all;
}

}  // namespace

std::string_view name_of(Log log) {
  switch (log) {
    case Log::kEvents: return "events";
    case Log::kDecisions: return "decisions";
    case Log::kJournal: return "journal";
    case Log::kDeadLetters: return "dead_letters";
  }
  return "unknown";
}

std::string Segment::file() const {
  return fmt::format("{}-{}-{:020}-{:020}.parquet", name_of(log), partition.value(), from.value(),
                     to.value());
}

std::string segment_folder(const std::string& data_folder) { return data_folder + "/segments"; }

Result<std::vector<Segment>> segments_of(const Store& store, Log log, PartitionId partition) {
  return listed(store, meta::segments_of(log, partition));
}

Result<std::vector<Segment>> all_segments(const Store& store) {
  return listed(store, meta::kSegment);
}

void change_segment(Txn& txn, const Segment& segment) {
  txn.put_meta(row_name(segment), encode(segment));
}

void add_segment(Txn& txn, const Segment& segment) {
  change_segment(txn, segment);
  txn.trim(segment.log, segment.partition, segment.from, segment.to);
}

void drop_segment(Txn& txn, const Segment& segment) {
  txn.erase_meta(row_name(segment));
  txn.put_meta(meta::segment_dropped(segment.file()), "");
}

std::optional<Segment> parse_segment_file(std::string_view name) {
  for (const Log log : kLogs) {
    const std::string prefix = fmt::format("{}-", name_of(log));
    if (!name.starts_with(prefix)) continue;
    unsigned partition = 0;
    unsigned long long from = 0, to = 0;
    const std::string rest(name.substr(prefix.size()));
    if (std::sscanf(rest.c_str(), "%u-%20llu-%20llu.", &partition, &from, &to) != 3) return {};
    Segment segment{log, PartitionId{partition}, Seq{from}, Seq{to}};
    if (segment.file() == name) return segment;
  }
  return std::nullopt;
}

namespace {

// What is wrong with a segment's file, as far as a look at its size tells.
std::optional<std::string> trouble_of(const std::string& path, const Segment& segment) {
  std::error_code missing;
  const uint64_t bytes = std::filesystem::file_size(path, missing);
  if (missing) return "a segment is missing";
  if (bytes == segment.bytes) return std::nullopt;
  return fmt::format("a segment has {} bytes, {} were written", bytes, segment.bytes);
}

// Every record of it is in the database: a crash came before the manifest knew the file.
Result<bool> is_in_database(const Store& store, const Segment& segment) {
  QW_ASSIGN(const Seq begin, store.scan_tail(segment.log, segment.partition, Seq{}, Seq{}, {}));
  QW_ASSIGN(const Seq last, store.last_seq(segment.log, segment.partition));
  return segment.from >= begin && segment.to <= next(last);
}

// What is made anew from the log later lacks these records.
Result<void> note_hole(const Store& store, const Segment& segment, Txn& txn) {
  const std::string name = meta::hole(segment.log, segment.partition);
  QW_ASSIGN(const auto known, store.get_meta(name));
  const uint64_t end = known ? std::stoull(*known) : 0;
  txn.put_meta(name, std::to_string(std::max(end, segment.to.value())));
  return {};
}

// A file of the folder that no row names: see check_segments().
Result<void> put_right(Store& store, const std::string& name, const std::set<std::string>& dropped,
                       SegmentCheck& check) {
  const std::string path = segment_folder(store.folder()) + "/" + name;
  const auto remove = [&] {
    std::error_code failed;
    check.removed += std::filesystem::remove(path, failed) ? 1 : 0;
  };
  constexpr std::string_view kUnfinished = ".new";
  if (name.ends_with(kUnfinished) &&
      parse_segment_file(std::string_view(name).substr(0, name.size() - kUnfinished.size())))
    remove();
  const auto segment = parse_segment_file(name);
  if (!segment) return {};
  QW_ASSIGN(const bool kept, is_in_database(store, *segment));
  if (kept || dropped.contains(name)) {
    remove();
    return {};
  }
  QW_ASSIGN(std::string now, set_aside(store.folder(), path));
  check.aside.push_back(std::move(now));
  return {};
}

}  // namespace

Result<Seq> hole_end(const Store& store, Log log, PartitionId partition) {
  QW_ASSIGN(const auto end, store.get_meta(meta::hole(log, partition)));
  return Seq{end ? std::stoull(*end) : 0};
}

Result<SegmentCheck> check_segments(Store& store, bool accept_loss) {
  SegmentCheck check;
  Txn txn;
  const std::string folder = segment_folder(store.folder());
  QW_ASSIGN(const auto segments, all_segments(store));
  std::set<std::string> named, dropped;
  for (const Segment& segment : segments) {
    named.insert(segment.file());
    const std::string path = folder + "/" + segment.file();
    auto trouble = trouble_of(path, segment);
    // Flipped bytes refuse no start, which would have to read everything; who goes on without what
    // is lost wants to know it.
    if (!trouble && accept_loss)
      if (const auto whole = verify_segment(store.folder(), segment); !whole.ok())
        trouble = whole.error().message;
    if (!trouble) continue;
    if (!accept_loss) return Error{ErrorCode::kCorrupt, *trouble, path, kMendDamage};
    check.losses.push_back(
        {path, fmt::format("{}: records {} to {} of {}", *trouble, segment.from.value(),
                           segment.to.value() - 1, name_of(segment.log))});
    check.given_up.push_back(segment);
    txn.erase_meta(row_name(segment));
    QW_TRY(note_hole(store, segment, txn));
    if (std::filesystem::exists(path)) QW_TRY(set_aside(store.folder(), path));
  }
  QW_TRY(store.scan_meta(meta::kSegmentDropped, [&](std::string_view name, std::string_view) {
    dropped.emplace(meta::parse_segment_dropped(name));
    return true;
  }));
  std::vector<std::string> unnamed;
  std::error_code none;  // no folder, no files
  for (const auto& entry : std::filesystem::directory_iterator(folder, none))
    if (const std::string name = entry.path().filename().string(); !named.contains(name))
      unnamed.push_back(name);
  for (const std::string& name : unnamed) QW_TRY(put_right(store, name, dropped, check));
  for (const std::string& name : dropped)
    if (!std::filesystem::exists(folder + "/" + name)) txn.erase_meta(meta::segment_dropped(name));
  if (!txn.empty()) QW_TRY(store.commit(txn, Durability::kMachine));
  return check;
}

Result<void> verify_segment_file(const std::string& path, uint64_t checksum) {
  static std::mutex mutex;
  static std::set<std::pair<std::string, uint64_t>> whole;  // one entry a file: as the manifest
  {
    const std::lock_guard lock(mutex);
    if (whole.contains({path, checksum})) return {};
  }
  QW_ASSIGN(const uint64_t found, file_checksum64(path));
  if (found != checksum)
    return Error{ErrorCode::kCorrupt, "a segment is damaged: its bytes are not those written", path,
                 kMendDamage};
  const std::lock_guard lock(mutex);
  whole.emplace(path, checksum);
  return {};
}

Result<void> verify_segment(const std::string& data_folder, const Segment& segment) {
  if (segment.checksum == 0) return {};
  return verify_segment_file(segment_folder(data_folder) + "/" + segment.file(), segment.checksum);
}

}  // namespace qw::store
