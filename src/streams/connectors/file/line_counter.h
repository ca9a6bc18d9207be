// Text lines to numbers: how many lines of each kind an interval of event time holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/batch.h"
#include "streams/connectors/file/config.h"
#include "streams/decoders/options.h"
#include "streams/decoders/text.h"
#include "streams/watermark.h"

namespace qw::streams::file {

// The columns of its rows: series, metric, value, ts.
std::shared_ptr<const schema::Schema> counts_schema();

// Counts one file's lines. An interval that ends at E holds the lines with E - interval < ts <= E,
// as every window here; ends are multiples of the interval since 1970 UTC. It is closed, and gives
// a row per counter with ts = E, once the watermark is later than E + allowed_lateness (a few lines
// that lie far ahead close nothing), at finish(), or when idle() says that the clock is past it by
// as much. Intervals between lines without any give zeros, but for a gap of more than kMostEmpty,
// which is passed over. Deterministic: the same lines and calls give the same rows; state() and
// restore() carry what is open. One thread.
class LineCounter {
 public:
  static constexpr int64_t kMostEmpty = 10'000;

  // kBadInput: a pattern without `ts` or without a counter's field, a counter twice.
  static Result<LineCounter> make(const Counts& counts, const DecodeOptions& decode);

  // kBadInput: the line does not fit the pattern, its time cannot be read, lies more than
  // Counts::max_future ahead of `now_us` (INT64_MAX: not asked), or in an interval that is closed.
  Result<void> add(std::string_view line, int64_t now_us);
  // Appends the rows of the oldest interval that is closed and not given yet. False: there is none.
  bool emit(const std::string& series, schema::Batch& out);
  // No more lines come.
  void finish();
  // No line is there now: intervals that end well before now are closed. Of a log of long ago, what
  // is open is closed once no line came for as long, and no zeros follow it up to today.
  void idle(int64_t now_us);

  size_t counters() const { return counters_.size(); }
  // Rows given so far, over all starts.
  uint64_t rows() const { return rows_; }
  std::string state() const;
  // kCorrupt; a state of other counters counts as none.
  Result<void> restore(std::string_view state);

 private:
  struct Counter {
    std::string metric;
    std::optional<size_t> field;  // of the pattern
    std::string equals;
    double per = 1;
  };
  explicit LineCounter(TimeParser times) : times_(std::move(times)) {}
  Result<void> count(std::string_view line, int64_t now_us);
  int64_t end_of(int64_t time_us) const;
  uint64_t definition() const;
  int64_t closed_to_us() const { return std::max(closed_to_us_, believed_to_us_); }

  Counts counts_;
  size_t max_bytes_ = 0;
  TimeParser times_;
  TextPattern pattern_;
  size_t time_field_ = 0;
  std::vector<Counter> counters_;
  std::vector<std::string_view> fields_;

  Watermark watermark_;
  std::map<int64_t, std::vector<uint64_t>> open_;  // end of the interval -> a count per counter
  int64_t next_end_us_ = INT64_MIN;                // of the interval to give next; least: none yet
  int64_t closed_to_us_ = INT64_MIN;               // intervals that end at or before are closed
  int64_t believed_to_us_ = INT64_MIN;             // and by lines that may still be taken back
  uint64_t rows_ = 0;
  int64_t quiet_since_us_ = INT64_MAX;  // by the clock; most: not known
};

}  // namespace qw::streams::file
