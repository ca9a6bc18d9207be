// The text decoder; see decoder.h for what decoders promise.
#pragma once

#include <memory>

#include "streams/decoders/decoder.h"
#include "streams/decoders/time.h"

namespace qw::streams {

// A line by a pattern: "{ip} - [{ts}] {status:int} {_}". A part takes the text up to the next
// literal's first appearance (so a line is read once, whatever it holds); the last part takes the
// rest. {name:int}, {name:number} and {name:word} take only such text
// ({name:timestamp} takes any: the column knows its form); {_} is passed over; {{ and
// }} are literal braces.
Result<std::unique_ptr<RecordDecoder>> make_text_decoder(const DecodeOptions& options,
                                                         const TimeParser& times);

// A pattern, read once. Immutable; any thread.
class TextPattern {
 public:
  enum class Shape : uint8_t { kAny, kWord, kInt, kNumber };
  struct Part {
    std::string literal;  // before the field
    std::string field;    // empty only in the last part: the literal ends the line
    Shape shape = Shape::kAny;
  };
  // kBadInput: an unclosed brace, two fields with nothing between, a field twice, an unknown shape.
  static Result<TextPattern> parse(std::string_view pattern);
  const std::vector<Part>& parts() const { return parts_; }
  // One text per part with a field, in order; kBadInput says where the line stopped to fit.
  Result<void> match(std::string_view line, std::vector<std::string_view>& fields) const;

 private:
  std::vector<Part> parts_;
};

}  // namespace qw::streams
