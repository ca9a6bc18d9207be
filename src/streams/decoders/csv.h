// The csv decoder; see decoder.h for what decoders promise.
#pragma once

#include <memory>

#include "streams/decoders/decoder.h"
#include "streams/decoders/time.h"

namespace qw::streams {

// RFC 4180 records; a quoted cell is never null.
Result<std::unique_ptr<RecordDecoder>> make_csv_decoder(const DecodeOptions& options,
                                                        const TimeParser& times);

// One cell of a CSV record, quotes taken off. A value.
struct CsvCell {
  std::string text;
  bool quoted = false;
};
// kBadInput: an unclosed quote, or text after a closing one. Reuses the cells' memory.
Result<size_t> split_csv(std::string_view record, char delimiter, std::vector<CsvCell>& cells);

}  // namespace qw::streams
