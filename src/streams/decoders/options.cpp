#include "streams/decoders/options.h"

#include <fmt/format.h>

namespace qw::streams {

Result<Format> parse_format(std::string_view text) {
  if (text == "json") return Format::kJson;
  if (text == "csv") return Format::kCsv;
  if (text == "text") return Format::kText;
  return Error{ErrorCode::kBadInput, fmt::format("unknown format '{}'", text), "",
               "known: json, csv, text"};
}

Result<TimeForm> parse_time_form(std::string_view text) {
  if (text == "iso8601") return TimeForm::kIso8601;
  if (text == "epoch_s") return TimeForm::kEpochSeconds;
  if (text == "epoch_ms") return TimeForm::kEpochMillis;
  if (text == "epoch_us") return TimeForm::kEpochMicros;
  if (text == "common_log") return TimeForm::kCommonLog;
  return Error{ErrorCode::kBadInput, fmt::format("unknown time form '{}'", text), "",
               "known: iso8601, epoch_s, epoch_ms, epoch_us, common_log"};
}

}  // namespace qw::streams
