// From the body of a pushed request to its records.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "streams/decoders/decoder.h"

namespace qw::streams::http {

// A record as it lies in the body. A value; valid as long as the body.
struct BodyRecord {
  std::string_view text;  // inside the body
  Frame::Problem problem = Frame::Problem::kNone;
};

// For format json: a body that begins with '[' is an array with a record each; otherwise, with the
// content type application/json, it is one record; with any other, a line each (JSON Lines). Other
// formats: as in a file. `body` grows by the parser's padding and must outlive the records.
// kBadInput: an array that is no JSON (nothing of it can be told apart), a body without a record;
// kExhausted: more than `max_records`.
Result<std::vector<BodyRecord>> split_body(std::string& body, std::string_view content_type,
                                           const DecodeOptions& decode, size_t max_records);

}  // namespace qw::streams::http
