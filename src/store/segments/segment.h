// Segments: what a log no longer keeps in the database, as Parquet files below the data folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/store.h"

namespace qw::store {

// The name of a log in file names and metrics: "events", "decisions", "journal", "dead_letters".
std::string_view name_of(Log log);
constexpr Log kLogs[] = {Log::kEvents, Log::kDecisions, Log::kJournal, Log::kDeadLetters};

// One immutable file: every record of a log's partition with seq in [from, to). A row of the
// manifest; a value. See docs/adr/0002-segments.md.
struct Segment {
  Log log = Log::kEvents;
  PartitionId partition;
  Seq from;
  Seq to;
  uint64_t records = 0;
  uint64_t bytes = 0;      // of the file
  uint64_t schema_id = 0;  // of its columns: Schema::fingerprint
  int64_t rolled_us = 0;   // wall clock when it was written

  // "decisions-2-00000000000000000001-00000000000000004097.parquet"
  std::string file() const;
  friend bool operator==(const Segment&, const Segment&) = default;
};

// "DIR/segments", in the data folder. Beside the segments it holds kViewsFile, the SQL that reads
// them, and nothing else.
std::string segment_folder(const std::string& data_folder);
constexpr std::string_view kViewsFile = "views.sql";

// The manifest: one sealed row of the store for each segment. Rising by `from`. kCorrupt for a
// damaged row, kUnsupported for one of a newer version.
Result<std::vector<Segment>> segments_of(const Store& store, Log log, PartitionId partition);
Result<std::vector<Segment>> all_segments(const Store& store);
// The segment's row, and the end of its records in the database: in one transaction, so that at any
// moment each record is in exactly one place. Its file is durable before.
void add_segment(Txn& txn, const Segment& segment);
// The segment's row goes; its file may go once this is durable and nobody reads it any more.
void drop_segment(Txn& txn, const Segment& segment);

// What a start does before anything is read: removes files that no row of the manifest names (a
// crash came between the two) and finds those that are missing or cut short: kCorrupt. Returns how
// many were removed. While no other thread writes segments.
Result<size_t> check_segments(const Store& store);

}  // namespace qw::store
