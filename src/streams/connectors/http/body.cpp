#include "streams/connectors/http/body.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

namespace qw::streams::http {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kSpace = " \t\r\n";

Error too_many(size_t max_records) {
  return {ErrorCode::kExhausted, fmt::format("the request holds more than {} records", max_records),
          "body", "send several requests, or raise records_max"};
}

Error not_an_array(simdjson::error_code error) {
  return {ErrorCode::kBadInput,
          fmt::format("the body is no JSON array: {}", simdjson::error_message(error)), "body",
          "send a JSON object, an array of objects, or JSON Lines"};
}

simdjson::error_code text_of(ondemand::value value, std::string_view& text) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type == ondemand::json_type::object) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    return object.raw_json().get(text);
  }
  if (type == ondemand::json_type::array) {
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return error;
    return array.raw_json().get(text);
  }
  text = value.raw_json_token();
  return simdjson::SUCCESS;
}

Result<std::vector<BodyRecord>> split_array(std::string& body, size_t max_records) {
  const size_t size = body.size();
  body.append(simdjson::SIMDJSON_PADDING, ' ');
  ondemand::parser parser;
  ondemand::document document;
  ondemand::array array;
  const simdjson::padded_string_view json(body.data(), size, body.size());
  if (const auto error = parser.iterate(json).get(document)) return not_an_array(error);
  if (const auto error = document.get_array().get(array)) return not_an_array(error);
  std::vector<BodyRecord> records;
  for (auto element : array) {
    ondemand::value value;
    BodyRecord record;
    if (const auto error = std::move(element).get(value)) return not_an_array(error);
    if (const auto error = text_of(value, record.text)) return not_an_array(error);
    if (records.size() == max_records) return too_many(max_records);
    record.text = record.text.substr(0, record.text.find_last_not_of(kSpace) + 1);
    records.push_back(record);
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return Error{ErrorCode::kBadInput, "more text follows the JSON array", "body", ""};
  return records;
}

Result<std::vector<BodyRecord>> split_lines(const std::string& body, const DecodeOptions& decode,
                                            size_t max_records) {
  std::vector<BodyRecord> records;
  Framer framer = make_framer(decode);
  framer.feed(body);
  while (true) {
    auto frame = framer.next();
    if (!frame) frame = framer.finish();
    if (!frame) return records;
    if (records.size() == max_records) return too_many(max_records);
    records.push_back(
        {std::string_view(body).substr(frame->begin, frame->text.size()), frame->problem});
  }
}

bool says_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return type.substr(0, type.find_last_not_of(kSpace) + 1) == "application/json";
}

}  // namespace

Result<std::vector<BodyRecord>> split_body(std::string& body, std::string_view content_type,
                                           const DecodeOptions& decode, size_t max_records) {
  const size_t begin = body.find_first_not_of(kSpace);
  const Error empty{ErrorCode::kBadInput, "the request holds no record", "body",
                    "send a JSON object, an array of objects, or a record a line"};
  if (begin == std::string::npos) return empty;
  std::vector<BodyRecord> records;
  if (decode.format == Format::kJson && body[begin] == '[') {
    QW_ASSIGN(records, split_array(body, max_records));
  } else if (decode.format == Format::kJson && says_json(content_type)) {
    records.push_back({body, Frame::Problem::kNone});
  } else {
    QW_ASSIGN(records, split_lines(body, decode, max_records));
  }
  if (records.empty()) return empty;
  return records;
}

}  // namespace qw::streams::http
