// Segments: what a log no longer keeps in the database, as Parquet files below the data folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/data_folder.h"
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
  uint64_t checksum = 0;   // file_checksum64 of the file; 0: written before there were any
  bool dated = true;       // the clock was believed then; else rolled_us says nothing

  // "decisions-2-00000000000000000001-00000000000000004097.parquet"
  std::string file() const;
  friend bool operator==(const Segment&, const Segment&) = default;
};

// What a file's name says of it (log, partition, from, to); nothing when it is none of ours.
std::optional<Segment> parse_segment_file(std::string_view name);

// "DIR/segments", in the data folder. Beside the segments it holds kViewsFile, the SQL that reads
// them. Other files there are somebody's own.
std::string segment_folder(const std::string& data_folder);
constexpr std::string_view kViewsFile = "views.sql";

// The manifest: one sealed row of the store for each segment. Rising by `from`. kCorrupt for a
// damaged row, kUnsupported for one of a newer version.
Result<std::vector<Segment>> segments_of(const Store& store, Log log, PartitionId partition);
Result<std::vector<Segment>> all_segments(const Store& store);
// The segment's row, and the end of its records in the database: in one transaction, so that at any
// moment each record is in exactly one place. Its file is durable before.
void add_segment(Txn& txn, const Segment& segment);
// Writes the row of a listed segment anew.
void change_segment(Txn& txn, const Segment& segment);
// The segment's row goes; its file may go once this is durable and nobody reads it any more.
void drop_segment(Txn& txn, const Segment& segment);

// Behind the last record of a log that was given up with its segment; 0: none was. Whatever is made
// from the log anew lacks it.
Result<Seq> hole_end(const Store& store, Log log, PartitionId partition);

// What check_segments found. A value.
struct SegmentCheck {
  size_t removed = 0;              // files that a crash left behind
  std::vector<Segment> given_up;   // rows that are no longer in the manifest
  std::vector<Loss> losses;        // the same in words
  std::vector<std::string> aside;  // segments that no row names and whose records are not in the
                                   // database: where they are now
};

// What a start does before anything is read. Files that no row of the manifest names (a crash came
// between the two) are removed when it is known that nothing goes with them: retention dropped
// them, or the database holds their records. Others of our naming are moved to lost_folder(); what
// is not ours stays. A segment that is missing or cut short is kCorrupt, or is given up when
// `accept_loss`. While no other thread writes segments or commits.
Result<SegmentCheck> check_segments(Store& store, bool accept_loss);

// kCorrupt: the file is not what was written. Reads it whole, once in the life of the process. A
// file that is gone is kNotFound. Any thread.
Result<void> verify_segment(const std::string& data_folder, const Segment& segment);
// The same of a file by itself.
Result<void> verify_segment_file(const std::string& path, uint64_t checksum);

}  // namespace qw::store
