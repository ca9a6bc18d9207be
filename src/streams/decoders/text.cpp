#include "streams/decoders/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "streams/decoders/cell.h"

namespace qw::streams {
namespace {

Error bad_pattern(std::string problem) {
  return Error{ErrorCode::kBadInput, "pattern: " + std::move(problem), "",
               "write literal text and {name} or {name:int|number|word|timestamp} parts"};
}

Result<TextPattern::Part> parse_field(std::string literal, std::string_view inside) {
  TextPattern::Part part{std::move(literal), std::string(inside.substr(0, inside.find(':'))),
                         TextPattern::Shape::kAny};
  if (part.field.empty()) return bad_pattern("a part without a name");
  if (part.field.size() == inside.size()) return part;
  const auto shape = inside.substr(part.field.size() + 1);
  if (shape == "timestamp")  // its form is the column's: read there
    part.shape = TextPattern::Shape::kAny;
  else if (shape == "int")
    part.shape = TextPattern::Shape::kInt;
  else if (shape == "number")
    part.shape = TextPattern::Shape::kNumber;
  else if (shape == "word")
    part.shape = TextPattern::Shape::kWord;
  else
    return bad_pattern(
        fmt::format("unknown shape '{}' (known: int, number, word, timestamp)", shape));
  return part;
}

bool fits(std::string_view text, TextPattern::Shape shape) {
  if (shape == TextPattern::Shape::kAny) return true;
  if (text.empty()) return false;
  if (shape == TextPattern::Shape::kWord) return text.find_first_of(" \t") == text.npos;
  if (is_no_number(text)) return true;
  if (text.front() == '-') text.remove_prefix(1);
  const bool point = shape == TextPattern::Shape::kNumber;
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') ||
           (point && (c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+'));
  });
}

class TextDecoder final : public RecordDecoder {
 public:
  TextDecoder(const DecodeOptions& options, const TimeParser& times, TextPattern pattern)
      : RecordDecoder(options),
        max_bytes_(options.max_record_bytes),
        times_(times),
        pattern_(std::move(pattern)) {
    for (const auto& part : pattern_.parts())
      if (!part.field.empty()) targets_.push_back(schema_->index_of(part.field));
  }

  Result<void> decode_record(std::string_view record, schema::Batch& out) override {
    if (record.size() > max_bytes_)
      return Error{ErrorCode::kBadInput, "the line is longer than max_record_bytes", "", ""};
    QW_TRY(pattern_.match(record, fields_));
    begin_row();
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (!targets_[i] || is_constant(*targets_[i])) continue;
      const schema::Field& field = schema_->field(*targets_[i]);
      // Logs write "-" for "nothing".
      if (fields_[i].empty() || (fields_[i] == "-" && field.nullable)) continue;
      QW_ASSIGN(const bool nothing, no_number(*targets_[i], fields_[i]));
      if (nothing) continue;
      auto value = parse_cell(fields_[i], field.type, times_);
      if (!value.ok()) return column_error(field, value.error().message);
      row_[*targets_[i]] = std::move(value).value();
    }
    return end_row(out);
  }

 private:
  size_t max_bytes_;
  TimeParser times_;
  TextPattern pattern_;
  std::vector<std::optional<size_t>> targets_;  // by field
  std::vector<std::string_view> fields_;
};

}  // namespace

Result<TextPattern> TextPattern::parse(std::string_view pattern) {
  TextPattern parsed;
  std::string literal;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const bool doubled = i + 1 < pattern.size() && pattern[i + 1] == c;
    if (c != '{' && c != '}') {
      literal.push_back(c);
    } else if (doubled) {
      literal.push_back(c);
      ++i;
    } else if (c == '}') {
      return bad_pattern(fmt::format("a '}}' without its '{{' at character {}", i + 1));
    } else {
      const size_t close = pattern.find('}', i);
      if (close == pattern.npos) return bad_pattern("a '{' is never closed");
      if (literal.empty() && !parsed.parts_.empty())
        return bad_pattern("two fields with no text between them");
      QW_ASSIGN(Part part, parse_field(std::move(literal), pattern.substr(i + 1, close - i - 1)));
      literal.clear();
      for (const Part& other : parsed.parts_)
        if (other.field == part.field && part.field != "_")
          return bad_pattern(fmt::format("the field '{}' appears twice", part.field));
      parsed.parts_.push_back(std::move(part));
      i = close;
    }
  }
  if (parsed.parts_.empty()) return bad_pattern("it names no field");
  if (!literal.empty()) parsed.parts_.push_back(Part{std::move(literal), "", Shape::kAny});
  return parsed;
}

Result<void> TextPattern::match(std::string_view line,
                                std::vector<std::string_view>& fields) const {
  fields.clear();
  const auto stop = [&](const std::string& wanted) {
    return Error{ErrorCode::kBadInput, fmt::format("the line does not fit the pattern: {}", wanted),
                 "", ""};
  };
  if (!line.starts_with(parts_.front().literal))
    return stop(fmt::format("'{}' expected at its beginning", parts_.front().literal));
  std::string_view rest = line.substr(parts_.front().literal.size());
  for (size_t i = 0; i < parts_.size() && !parts_[i].field.empty(); ++i) {
    size_t length = rest.size();
    if (i + 1 < parts_.size()) {
      const Part& after = parts_[i + 1];
      // A literal that ends the pattern must end the line.
      length =
          after.field.empty()
              ? (rest.ends_with(after.literal) ? rest.size() - after.literal.size() : rest.npos)
              : rest.find(after.literal);
      if (length == rest.npos)
        return stop(
            fmt::format("'{}' expected after the field '{}'", after.literal, parts_[i].field));
    }
    const auto text = rest.substr(0, length);
    if (!fits(text, parts_[i].shape))
      return stop(fmt::format("field '{}' found '{}'", parts_[i].field, text.substr(0, 64)));
    fields.push_back(text);
    rest.remove_prefix(length + (i + 1 < parts_.size() ? parts_[i + 1].literal.size() : 0));
  }
  return {};
}

Result<std::unique_ptr<RecordDecoder>> make_text_decoder(const DecodeOptions& options,
                                                         const TimeParser& times) {
  QW_ASSIGN(TextPattern pattern, TextPattern::parse(options.pattern));
  return std::unique_ptr<RecordDecoder>(
      std::make_unique<TextDecoder>(options, times, std::move(pattern)));
}

}  // namespace qw::streams
