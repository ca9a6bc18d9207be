// Cuts a stream of bytes into records without ever holding more than one record's limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qw::streams {

enum class Framing : uint8_t {
  kLines,
  kCsv
};  // csv: a line end inside quotes does not end a record

// One record as it was cut out. `text` lives until the Framer is called again.
struct Frame {
  enum class Problem : uint8_t { kNone, kTooLong, kUnclosedQuote };
  std::string_view text;  // without the line end; the beginning only when too long
  uint64_t begin = 0;     // byte offsets in the stream
  uint64_t end = 0;       // where the next record begins
  Problem problem = Problem::kNone;
};

// One stream's bytes in, records out. One thread. Empty lines are passed over. A quote that is not
// closed within the limit costs its own line only: what follows is read again as records.
class Framer {
 public:
  Framer(Framing framing, size_t max_record_bytes, char delimiter = ',', uint64_t offset = 0);

  // Takes bytes; call next() until it gives nothing before feeding again.
  void feed(std::string_view bytes);
  // The next whole record. The text is valid until the next call.
  std::optional<Frame> next();
  // The stream has ended: what is left, whether or not its last line is ended. Call until nothing.
  std::optional<Frame> finish();
  // Where the first record not yet given begins.
  uint64_t offset() const { return offset_; }
  size_t held_bytes() const { return buffer_.size() - start_; }

 private:
  enum class Scan : uint8_t { kFieldStart, kPlain, kQuoted, kQuoteInQuoted };
  // Position of the line end that ends the record, or npos.
  size_t find_end();
  std::optional<Frame> step(bool at_end);
  std::optional<Frame> skip_long(bool at_end);
  std::optional<Frame> close_at(size_t end, size_t next, Frame::Problem problem);
  void consume(size_t bytes);

  Framing framing_;
  size_t max_bytes_;
  char delimiter_;
  std::string buffer_;
  size_t start_ = 0;    // of the record in the buffer
  size_t scanned_ = 0;  // how far past start_ the search went
  Scan scan_ = Scan::kFieldStart;
  uint64_t offset_;
  bool skipping_ = false;  // inside a record that is too long
  std::string head_;       // its beginning
  uint64_t long_begin_ = 0;
};

}  // namespace qw::streams
