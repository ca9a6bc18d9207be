#include "store/segments/segment.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/bytes.h"

namespace qw::store {
namespace {

constexpr uint8_t kRowKind = 17;
constexpr uint8_t kRowVersion = 1;
constexpr std::string_view kPrefix = "segment/";

std::string prefix_of(Log log, PartitionId partition) {
  return fmt::format("{}{}/{:010}/", kPrefix, name_of(log), partition.value());
}

// Fixed width: the store's order is the order of seqs.
std::string row_name(const Segment& segment) {
  return fmt::format("{}{:020}", prefix_of(segment.log, segment.partition), segment.from.value());
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
  std::string sealed;
  seal_record(kRowKind, kRowVersion, body, sealed);
  return sealed;
}

Result<Segment> decode(std::string_view name, std::string_view sealed) {
  const Error damaged{ErrorCode::kCorrupt, "the list of segments is damaged", std::string(name),
                      "restore the data folder from a copy"};
  const auto record = open_record(sealed);
  if (!record.ok() || record->kind != kRowKind) return damaged;
  if (record->version != kRowVersion)
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
  return listed(store, prefix_of(log, partition));
}

Result<std::vector<Segment>> all_segments(const Store& store) { return listed(store, kPrefix); }

void add_segment(Txn& txn, const Segment& segment) {
  txn.put_meta(row_name(segment), encode(segment));
  txn.trim(segment.log, segment.partition, segment.from, segment.to);
}

void drop_segment(Txn& txn, const Segment& segment) { txn.erase_meta(row_name(segment)); }

Result<size_t> check_segments(const Store& store) {
  const std::string folder = segment_folder(store.folder());
  QW_ASSIGN(const auto segments, all_segments(store));
  std::set<std::string> named;
  for (const Segment& segment : segments) {
    named.insert(segment.file());
    const std::string path = folder + "/" + segment.file();
    std::error_code missing;
    const uint64_t bytes = std::filesystem::file_size(path, missing);
    if (missing || bytes != segment.bytes)
      return Error{
          ErrorCode::kCorrupt,
          missing ? "a segment is missing"
                  : fmt::format("a segment has {} bytes, {} were written", bytes, segment.bytes),
          path, "restore the data folder from a copy"};
  }
  size_t removed = 0;
  std::error_code none;  // no folder, no files
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name == kViewsFile || named.contains(name)) continue;
    std::error_code failed;
    removed += std::filesystem::remove(entry.path(), failed) ? 1 : 0;
  }
  return removed;
}

}  // namespace qw::store
