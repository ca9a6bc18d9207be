// How the bytes of a source become rows: what the application file says about it.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "schema/type.h"

namespace qw::streams {

enum class Format : uint8_t { kJson, kCsv, kText };
// kBadInput listing the known formats ("json", "csv", "text").
Result<Format> parse_format(std::string_view text);

// How a timestamp column is written. ISO 8601 needs an offset ("Z", "+02:00") unless a zone is
// declared.
enum class TimeForm : uint8_t { kIso8601, kEpochSeconds, kEpochMillis, kEpochMicros, kCommonLog };
// "iso8601", "epoch_s", "epoch_ms", "epoch_us", "common_log" (10/Oct/2000:13:55:36 -0700)
Result<TimeForm> parse_time_form(std::string_view text);

// A value. Limits are checked per record, so that one bad record never costs another.
struct DecodeOptions {
  Format format = Format::kJson;
  std::shared_ptr<const schema::Schema> schema;
  TimeForm time_form = TimeForm::kIso8601;
  // IANA name ("Europe/Berlin"), "UTC", or an offset ("+02:00"), for ISO times that carry none.
  // Empty: such times are rejected.
  std::string zone;
  size_t max_record_bytes = 1u << 20;  // a longer record is rejected without being held whole

  // CSV
  char delimiter = ',';
  std::vector<std::string> columns;            // empty: the first record of each file names them
  std::map<std::string, std::string> rename;   // column of the data -> column of the schema
  std::vector<std::string> null_texts = {""};  // unquoted cells that mean null

  // Counts values that are no number, in columns of numbers; null: nobody counts them.
  Counter* no_numbers = nullptr;

  // Text: literal characters and {name} or {name:type} parts; see decoders/text.h.
  std::string pattern;
};

}  // namespace qw::streams
