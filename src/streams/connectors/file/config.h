// `file:` CSV, JSON Lines or text from one file, a glob, or a folder; followed or replayed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace qw::streams::file {

enum class Mode : uint8_t {
  kRead,    // to the end, then the source is finished
  kTail,    // to the end, then on as the file grows, is rotated or truncated
  kReplay,  // rows of all files in event-time order, at `speed` times the pace they happened
};
Result<Mode> parse_mode(std::string_view text);  // "read", "tail", "replay"

// Text lines to numbers: every interval of event time, one row per counter; see line_counter.h.
struct Counts {
  struct Counter {
    std::string metric;  // "errors_per_s"
    std::string field;   // the counter takes lines whose field equals `equals`; empty: every line
    std::string equals;
    bool per_second = false;  // a rate instead of a count
  };
  int64_t interval_us = 10'000'000;
  std::vector<Counter> counters;
  int64_t lateness_us = 0;             // how much older than the newest line a line may be
  int64_t max_future_us = 60'000'000;  // lines further ahead of the clock are refused (tail only)
};

// What a file source reads, and how. A value; check() names what is out of range.
struct Config {
  std::string path;  // a file, a folder (its files, recursively), or a glob ("logs/*.log")
  Mode mode = Mode::kRead;
  double speed = 0;           // replay: times real time; 0: as fast as possible
  int64_t max_gap_s = 3'600;  // replay: a longer pause in the data is shortened to this
  std::string series_column;  // filled with the file's name without folder and ending; empty: none
  bool from_end = false;      // tail: begin at the end of files that exist at the first start
  size_t max_files = 512;     // each file is a partition
  int64_t rescan_ms = 1000;   // tail: how often new files and rotations are looked for
  std::optional<Counts> counts;  // text only
};

Result<void> check(const Config& config);

}  // namespace qw::streams::file
