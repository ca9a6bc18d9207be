// Reads one file (and what comes under its name after a rotation) as rows with exact places.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "schema/batch.h"
#include "streams/connectors/file/files.h"
#include "streams/connectors/file/line_counter.h"
#include "streams/decoders/decoder.h"
#include "streams/source.h"

namespace qw::streams::file {

enum class Fill : uint8_t { kRows, kNothingYet, kEnd };

// Owned by the file source, used by its thread alone. fill() decodes ahead, take() hands out from
// the front; a place saved with any take() resumes exactly behind its last row.
class FileReader {
 public:
  struct Options {
    const DecodeOptions* decode = nullptr;
    uint32_t partition = 0;
    bool follow = false;    // wait at the end for more
    bool imported = false;  // marks the batches
    std::optional<size_t> series_column;
    const Counts* counts = nullptr;  // lines are counted: rows are of closed intervals
    bool stepwise = false;           // counting: one interval at a time, for a replay in order
  };
  // `place.path` names the file; a place with an inode is looked for under other names too.
  FileReader(Options options, Place place);

  // Finds and opens the file, checks that it still is the one of the place. kNotFound, kIo.
  Result<void> open();
  // Decodes until `rows` are waiting, the file ends, or (following) nothing more is there yet.
  Result<Fill> fill(size_t rows);
  // Following: looks whether the name now means another file or the file was cut.
  Result<void> check_rotation();
  // Skips what is in the file now (first start of a tail at the end).
  Result<void> skip_to_end();

  size_t waiting() const { return rows_.rows() - head_; }
  bool has_output() const { return waiting() > 0 || !rejected_.empty(); }
  // Of the n-th waiting row; INT64_MIN when null.
  int64_t time_at(size_t n, size_t column) const;
  // Following: what the wall clock says, for lines ahead of it and files without new lines.
  void set_now(int64_t wall_us) { now_us_ = wall_us; }
  // Counting: all that wait are taken.
  // The first `count` waiting rows with the rejected records between and before them.
  SourceBatch take(size_t count);

  // Whether this file is one that the reader has open or has read under its name before.
  bool has_read(const std::string& path, const OpenFile::Identity& identity) const;

  const std::string& path() const { return place_.path; }
  bool is_open() const { return file_.is_open(); }
  uint32_t partition() const { return options_.partition; }
  uint64_t rotations() const { return rotations_; }
  // Why the file cannot be used at all (its header); set once.
  const std::optional<Error>& unusable() const { return unusable_; }

 private:
  struct RejectedAt {
    size_t before_row;
    Rejected rejected;
  };

  Result<bool> same_content(const OpenFile::Identity& identity);
  Result<bool> find_rotated(const OpenFile::Identity& current);
  Result<void> start_over();
  Result<bool> read_header();
  void accept(const Frame& frame);
  void emit_counts(size_t rows);
  Result<bool> at_end(size_t rows);
  void give_up(Error error);
  bool remember_head();
  Place place_after(uint64_t offset, uint64_t records) const;

  Options options_;
  Place place_;  // of the next record to decode
  OpenFile file_;
  OpenFile::Identity identity_;
  std::unique_ptr<RecordDecoder> decoder_;
  std::optional<LineCounter> counter_;
  int64_t now_us_ = INT64_MAX;
  std::optional<Framer> framer_;
  uint64_t read_offset_ = 0;
  std::string buffer_;
  bool header_read_ = false;
  bool rotated_away_ = false;  // the open file has lost its name: after its end, the new one
  bool ended_ = false;
  uint64_t rotations_ = 0;
  std::optional<Error> unusable_;

  schema::Batch rows_;
  size_t head_ = 0;
  std::vector<uint64_t> ends_;     // per row of rows_
  std::vector<uint64_t> records_;  // per row: its number in the partition
  std::deque<RejectedAt> rejected_;
  Place taken_;  // behind the last take()
};

}  // namespace qw::streams::file
