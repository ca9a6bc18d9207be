#include "streams/decoders/framer.h"

#include <algorithm>

#include "schema/records.h"

namespace qw::streams {

Framer::Framer(Framing framing, size_t max_record_bytes, char delimiter, uint64_t offset)
    : framing_(framing), max_bytes_(max_record_bytes), delimiter_(delimiter), offset_(offset) {}

void Framer::feed(std::string_view bytes) {
  if (start_ > 0) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  if (offset_ == 0 && buffer_.empty() && bytes.starts_with("\xEF\xBB\xBF")) {
    bytes.remove_prefix(3);  // a byte order mark is no part of the first record
    offset_ = 3;
  }
  buffer_.append(bytes);
}

std::optional<Frame> Framer::next() { return step(false); }
std::optional<Frame> Framer::finish() { return step(true); }

void Framer::consume(size_t bytes) {
  start_ += bytes;
  offset_ += bytes;
  scanned_ = 0;
  scan_ = Scan::kFieldStart;
}

size_t Framer::find_end() {
  const std::string_view record = std::string_view(buffer_).substr(start_);
  if (framing_ == Framing::kLines) {
    const size_t end = record.find('\n', scanned_);
    scanned_ = end == std::string_view::npos ? record.size() : end;
    return end;
  }
  for (; scanned_ < record.size(); ++scanned_) {
    const char c = record[scanned_];
    if (scan_ == Scan::kQuoted) {
      if (c == '"') scan_ = Scan::kQuoteInQuoted;
      continue;
    }
    if (c == '\n') return scanned_;
    if (c == '"' && scan_ != Scan::kPlain)
      scan_ = Scan::kQuoted;
    else
      scan_ = c == delimiter_ ? Scan::kFieldStart : Scan::kPlain;
  }
  return std::string_view::npos;
}

std::optional<Frame> Framer::close_at(size_t end, size_t next, Frame::Problem problem) {
  Frame frame;
  frame.begin = offset_;
  frame.end = offset_ + next;
  frame.problem = problem;
  frame.text = std::string_view(buffer_).substr(start_, end);
  if (frame.text.ends_with('\r')) frame.text.remove_suffix(1);
  consume(next);
  return frame;
}

// Drops bytes of an overlong record until its line ends.
std::optional<Frame> Framer::skip_long(bool at_end) {
  const size_t end = buffer_.find('\n', start_);
  const bool ended = end != std::string::npos;
  const size_t dropped = ended ? end + 1 - start_ : buffer_.size() - start_;
  consume(dropped);
  if (!ended && !at_end) return std::nullopt;
  skipping_ = false;
  return Frame{head_, long_begin_, offset_, Frame::Problem::kTooLong};
}

std::optional<Frame> Framer::step(bool at_end) {
  if (skipping_) return skip_long(at_end);
  while (true) {
    const size_t held = buffer_.size() - start_;
    const size_t end = find_end();
    if (end == 0 || (end == 1 && buffer_[start_] == '\r')) {
      consume(end + 1);
      continue;
    }
    if (end != std::string::npos && end <= max_bytes_)
      return close_at(end, end + 1, Frame::Problem::kNone);
    const bool too_long = end != std::string::npos || held > max_bytes_;
    if (!too_long && (!at_end || held == 0)) return std::nullopt;
    const std::string_view record = std::string_view(buffer_).substr(start_);
    const size_t line = record.find('\n');
    if (line != std::string_view::npos && line != end && line <= max_bytes_)
      return close_at(line, line + 1, Frame::Problem::kUnclosedQuote);
    if (!too_long) {
      const bool open = framing_ == Framing::kCsv && scan_ == Scan::kQuoted;
      return close_at(held, held, open ? Frame::Problem::kUnclosedQuote : Frame::Problem::kNone);
    }
    head_ = record.substr(0, std::min(max_bytes_, schema::kDeadLetterRawBytes));
    long_begin_ = offset_;
    skipping_ = true;
    return skip_long(at_end);
  }
}

}  // namespace qw::streams
