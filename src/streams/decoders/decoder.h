// One record's bytes -> one row. No I/O, no clock: the same bytes always give the same answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/batch.h"
#include "streams/decoders/framer.h"
#include "streams/decoders/options.h"
#include "streams/source.h"

namespace qw::streams {

// The reason of a record that is not tried again.
constexpr std::string_view kCrashedBefore =
    "quarantined: the process crashed or was killed more than once while this record was in work";

// Decodes records of one format into rows of one schema. One thread at a time (it keeps scratch
// memory). A record either appends one row or nothing.
class RecordDecoder {
 public:
  virtual ~RecordDecoder() = default;
  // kBadInput names the column and what was found, or says that the process crashed on this record.
  Result<void> decode(std::string_view record, schema::Batch& out);
  // CSV without configured columns: the record that names them. kBadInput when a column that may
  // not be null is missing.
  virtual Result<void> use_header(std::string_view record);
  virtual bool needs_header() const { return false; }
  // This column is not looked for in the data; every row gets the value.
  void set_constant(size_t column, schema::Value value);

 protected:
  explicit RecordDecoder(const DecodeOptions& options);
  virtual Result<void> decode_record(std::string_view record, schema::Batch& out) = 0;
  // Starts a row: nulls and constants.
  void begin_row();
  bool is_constant(size_t column) const { return constant_[column]; }
  // Whether the text is no number for a column of numbers: its value stays null, and is counted
  // with the row. kBadInput where null may not be.
  Result<bool> no_number(size_t column, std::string_view text);
  // kBadInput when a column that may not be null has no value; else appends the row.
  Result<void> end_row(schema::Batch& out);

  std::shared_ptr<const schema::Schema> schema_;
  std::vector<schema::Value> row_;

 private:
  Counter* counter_;
  size_t no_numbers_ = 0;  // in the row that was begun
  std::vector<schema::Value> constants_;
  std::vector<bool> constant_;
};

// kBadInput: no schema, an unknown zone, a pattern that cannot work.
Result<std::unique_ptr<RecordDecoder>> make_decoder(const DecodeOptions& options);
Framer make_framer(const DecodeOptions& options, uint64_t offset = 0);

// What the dead letter says about a record that was not decoded.
Rejected reject(std::string position, std::string reason, std::string_view raw);
std::string describe(Frame::Problem problem, const DecodeOptions& options);

// "column 'amount': double expected, found 'abc'"
Error column_error(const schema::Field& field, std::string_view problem);

}  // namespace qw::streams
