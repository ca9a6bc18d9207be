#include "store/segments/parquet.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/fail_point.h"
#include "base/files.h"
#include "store/internal/folder.h"

namespace qw::store {
namespace {

constexpr int kFormat = 1;
// Small groups: a read of a few records skips most of the file, and little is held while writing.
constexpr int kRowsAGroup = 8192;

std::string copy_statement(const Segment& segment, const std::string& path) {
  return fmt::format(
      "copy segment to {} (format parquet, compression zstd, row_group_size {}, "
      "use_tmp_file false, kv_metadata {{quickwater_segment: '{}', schema_id: '{:016x}', "
      "log: '{}', partition: '{}', from_seq: '{}', to_seq: '{}'}})",
      duckdb::quoted_text(path), kRowsAGroup, kFormat, segment.schema_id, name_of(segment.log),
      segment.partition.value(), segment.from.value(), segment.to.value());
}

Result<void> rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return {};
  return internal::system_error("cannot rename", from, errno);
}

}  // namespace

Result<void> write_rows(const Segment& segment, const SegmentRows& rows, const std::string& path) {
  QW_ASSIGN(const auto engine, duckdb::Engine::open({kSegmentMemoryMb, 1}));
  QW_TRY(engine->load_records("segment", rows.columns, rows.seqs, rows.records));
  return engine->run(copy_statement(segment, path));
}

const SegmentSteps& real_segment_steps() {
  static const SegmentSteps steps{internal::sync_file, rename_file, internal::sync_folder};
  return steps;
}

Result<void> write_segment(const std::string& data_folder, Segment& segment,
                           const SegmentRows& rows, const SegmentSteps& steps) {
  const std::string folder = segment_folder(data_folder);
  const bool made = !std::filesystem::exists(folder);
  QW_TRY(make_folders(folder));
  if (made) QW_TRY(steps.sync_folder(data_folder));
  const std::string path = folder + "/" + segment.file();
  const std::string temporary = path + ".new";
  Result<void> done = write_rows(segment, rows, temporary);
  fail_point("segment.written");
  if (done.ok()) done = steps.sync_file(temporary);
  if (done.ok()) done = steps.rename(temporary, path);
  fail_point("segment.renamed");
  if (done.ok()) done = steps.sync_folder(folder);
  std::error_code failed;
  if (done.ok()) {
    segment.bytes = std::filesystem::file_size(path, failed);
    const auto checksum = file_checksum64(path);
    segment.checksum = checksum.value_or(0);
    if (!failed && checksum.ok()) return {};
  }
  for (const std::string& left : {temporary, path}) std::filesystem::remove(left, failed);
  if (done.ok()) return Error{ErrorCode::kIo, "a segment vanished", path, "check the disk"};
  Error error = done.error();
  if (error.where.empty()) error.where = path;
  return error;
}

Result<bool> SegmentReader::scan(const Segment& segment, Seq from, Seq to,
                                 const Store::RecordVisitor& visit) {
  const std::string path = segment_folder(data_folder_) + "/" + segment.file();
  if (!std::filesystem::exists(path))
    return Error{ErrorCode::kNotFound, "a segment is gone", path, ""};
  if (engine_ == nullptr) {
    QW_ASSIGN(engine_, duckdb::Engine::open({kSegmentMemoryMb, 1}));
  }
  QW_TRY(verify_segment(data_folder_, segment));
  const Seq first = std::max(from, segment.from);
  const Seq end = std::min(to, segment.to);
  Seq last{first.value() - 1};
  bool wants_more = true, in_order = true;
  const auto read = engine_->each_record(
      fmt::format("select seq, record from read_parquet({}) where seq >= {} and seq < {}",
                  duckdb::quoted_text(path), first.value(), end.value()),
      [&](Seq seq, std::string_view record) {
        in_order = seq > last && seq < end;
        last = seq;
        wants_more = in_order && visit(seq, record);
        return wants_more;
      });
  if (read.ok() && in_order) return wants_more;
  // It was removed between the look and the reading.
  if (!std::filesystem::exists(path))
    return Error{ErrorCode::kNotFound, "a segment is gone", path, ""};
  // What the machine or a limit refused says nothing of the file.
  if (!read.ok() &&
      (read.error().code == ErrorCode::kExhausted || read.error().code == ErrorCode::kIo)) {
    Error error = read.error();
    if (error.where.empty() || error.where == "DuckDB") error.where = path;
    return error;
  }
  return Error{ErrorCode::kCorrupt,
               read.ok() ? "the records of a segment are not in order"
                         : fmt::format("a segment cannot be read: {}", read.error().message),
               path, kMendDamage};
}

}  // namespace qw::store
