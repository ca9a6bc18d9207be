// The json decoder; see decoder.h for what decoders promise.
#pragma once

#include <memory>

#include "streams/decoders/decoder.h"
#include "streams/decoders/time.h"

namespace qw::streams {

// One JSON object a record. Types are strict: a number in quotes is no number. Columns that the
// schema does not know are passed over; a column given twice is refused.
Result<std::unique_ptr<RecordDecoder>> make_json_decoder(const DecodeOptions& options,
                                                         const TimeParser& times);

}  // namespace qw::streams
