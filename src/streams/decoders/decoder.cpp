#include "streams/decoders/decoder.h"

#include <fmt/format.h>

#include "base/crash_watch.h"
#include "base/log.h"
#include "schema/records.h"
#include "streams/decoders/cell.h"
#include "streams/decoders/csv.h"
#include "streams/decoders/json.h"
#include "streams/decoders/text.h"

namespace qw::streams {

RecordDecoder::RecordDecoder(const DecodeOptions& options)
    : schema_(options.schema),
      row_(schema_->size()),
      counter_(options.no_numbers),
      constants_(schema_->size()),
      constant_(schema_->size()) {}

Result<void> RecordDecoder::use_header(std::string_view) { return {}; }

Result<void> RecordDecoder::decode(std::string_view record, schema::Batch& out) {
  if (is_quarantined(record))
    return Error{ErrorCode::kBadInput, std::string(kCrashedBefore), "", ""};
  const WorkMark mark("decode", record);
  return decode_record(record, out);
}

void RecordDecoder::set_constant(size_t column, schema::Value value) {
  constants_[column] = std::move(value);
  constant_[column] = true;
}

void RecordDecoder::begin_row() {
  row_ = constants_;
  no_numbers_ = 0;
}

Result<bool> RecordDecoder::no_number(size_t column, std::string_view text) {
  const schema::Field& field = schema_->field(column);
  if (!field.type.is_numeric() || !is_no_number(text)) return false;
  if (!field.nullable)
    return column_error(
        field, fmt::format("'{}' is no number, and null may not be here", text.substr(0, 64)));
  if (counter_ != nullptr && counter_->value() == 0 && no_numbers_ == 0)
    log::warning("source", "column '{}': '{}' is no number and counts as null, as all its like",
                 field.name, text.substr(0, 64));
  ++no_numbers_;
  return true;
}

Result<void> RecordDecoder::end_row(schema::Batch& out) {
  for (size_t i = 0; i < row_.size(); ++i)
    if (!schema_->field(i).nullable && schema::is_null(row_[i]))
      return column_error(schema_->field(i), "is missing or null and may not be");
  out.append_row(row_);
  if (counter_ != nullptr && no_numbers_ > 0) counter_->add(no_numbers_);
  return {};
}

Result<std::unique_ptr<RecordDecoder>> make_decoder(const DecodeOptions& options) {
  if (options.schema == nullptr || options.schema->size() == 0)
    return Error{ErrorCode::kBadInput, "the source has no schema", "", "declare its columns"};
  QW_ASSIGN(const TimeParser times, TimeParser::make(options.time_form, options.zone));
  switch (options.format) {
    case Format::kJson: return make_json_decoder(options, times);
    case Format::kCsv: return make_csv_decoder(options, times);
    case Format::kText: return make_text_decoder(options, times);
  }
  return Error{ErrorCode::kBadInput, "unknown format", "", ""};
}

Framer make_framer(const DecodeOptions& options, uint64_t offset) {
  return Framer(options.format == Format::kCsv ? Framing::kCsv : Framing::kLines,
                options.max_record_bytes, options.delimiter, offset);
}

Rejected reject(std::string position, std::string reason, std::string_view raw) {
  if (raw.size() > schema::kDeadLetterRawBytes) {
    raw = raw.substr(0, schema::kDeadLetterRawBytes);
    reason += fmt::format(" (kept: the first {} bytes)", schema::kDeadLetterRawBytes);
  }
  return Rejected{std::move(position), std::move(reason), std::string(raw)};
}

std::string describe(Frame::Problem problem, const DecodeOptions& options) {
  switch (problem) {
    case Frame::Problem::kTooLong:
      return fmt::format("the record is longer than max_record_bytes ({})",
                         options.max_record_bytes);
    case Frame::Problem::kUnclosedQuote:
      return "a quote opened in this line is not closed within max_record_bytes";
    case Frame::Problem::kNone: break;
  }
  return "";
}

Error column_error(const schema::Field& field, std::string_view problem) {
  return Error{ErrorCode::kBadInput, fmt::format("column '{}': {}", field.name, problem), "", ""};
}

}  // namespace qw::streams
