// One segment's file: written so that after a crash it is whole or absent, read back bit by bit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "schema/batch.h"
#include "store/duckdb/engine.h"
#include "store/segments/segment.h"

namespace qw::store {

// What goes into a file: columns for people and SQL, and the stored record each row was made from.
// No column is called seq or record: the file adds these. A value.
struct SegmentRows {
  schema::Batch columns;
  std::vector<Seq> seqs;
  std::vector<std::string> records;
  size_t record_bytes = 0;

  explicit SegmentRows(std::shared_ptr<const schema::Schema> schema) : columns(std::move(schema)) {}
  void add(Seq seq, std::string_view record) {
    seqs.push_back(seq);
    records.emplace_back(record);
    record_bytes += record.size();
  }
};

// The steps that make a file durable; a test owns them to see their order and to let them fail. The
// machine's own when not replaced. DuckDB itself writes the file's bytes.
struct SegmentSteps {
  std::function<Result<void>(const std::string& path)> sync_file;
  std::function<Result<void>(const std::string& from, const std::string& to)> rename;
  std::function<Result<void>(const std::string& folder)> sync_folder;
};
const SegmentSteps& real_segment_steps();

// What DuckDB may use of memory while it writes or reads one.
constexpr size_t kSegmentMemoryMb = 96;

// Writes the file below `data_folder` (temporary name, sync, rename, sync of the folder) and says
// in `segment` how long it is and its checksum. A file that could not be finished is removed.
// kExhausted: the disk is full, or one segment is more than DuckDB's memory takes.
Result<void> write_segment(const std::string& data_folder, Segment& segment,
                           const SegmentRows& rows, const SegmentSteps& steps);

// The same columns as a file of any name, neither synced nor listed.
Result<void> write_rows(const Segment& segment, const SegmentRows& rows, const std::string& path);

// Reads segments, one after another, with one DuckDB that lives as long as this. One thread at a
// time. Opened at the first use.
class SegmentReader {
 public:
  explicit SegmentReader(std::string data_folder) : data_folder_(std::move(data_folder)) {}
  // Records with seq in [from, to), rising; false: the visitor has enough. kNotFound: the file is
  // gone. kCorrupt: it is not what the manifest says.
  Result<bool> scan(const Segment& segment, Seq from, Seq to, const Store::RecordVisitor& visit);

 private:
  const std::string data_folder_;
  std::unique_ptr<duckdb::Engine> engine_;
};

}  // namespace qw::store
