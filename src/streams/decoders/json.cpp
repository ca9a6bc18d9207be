#include "streams/decoders/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <map>

#include "streams/decoders/cell.h"

namespace qw::streams {
namespace {

namespace ondemand = simdjson::ondemand;

std::string_view name_of(ondemand::json_type type) {
  switch (type) {
    case ondemand::json_type::array: return "an array";
    case ondemand::json_type::object: return "an object";
    case ondemand::json_type::number: return "a number";
    case ondemand::json_type::string: return "a string";
    case ondemand::json_type::boolean: return "a boolean";
    case ondemand::json_type::null: return "null";
  }
  return "something else";
}

std::string_view trim(std::string_view token) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\t' || token.back() == '\n' ||
                            token.back() == '\r'))
    token.remove_suffix(1);
  return token;
}

class JsonDecoder final : public RecordDecoder {
 public:
  JsonDecoder(const DecodeOptions& options, const TimeParser& times)
      : RecordDecoder(options), max_bytes_(options.max_record_bytes), times_(times) {
    for (size_t i = 0; i < schema_->size(); ++i) columns_.emplace(schema_->field(i).name, i);
    for (const auto& [from, to] : options.rename) {
      const auto column = schema_->index_of(to);
      if (!column) continue;
      columns_.erase(to);
      columns_.emplace(from, *column);
    }
  }

  Result<void> decode_record(std::string_view record, schema::Batch& out) override {
    if (record.size() > max_bytes_)
      return Error{ErrorCode::kBadInput,
                   fmt::format("the record is longer than max_record_bytes ({})", max_bytes_), "",
                   ""};
    begin_row();
    padded_.assign(record);
    padded_.append(simdjson::SIMDJSON_PADDING, ' ');
    seen_.assign(schema_->size(), false);
    QW_TRY(read_object(record.size()));
    return end_row(out);
  }

 private:
  static Error not_json(simdjson::error_code error) {
    return Error{ErrorCode::kBadInput,
                 fmt::format("not a JSON object: {}", simdjson::error_message(error)), "", ""};
  }

  Result<void> read_object(size_t size) {
    ondemand::document document;
    const simdjson::padded_string_view json(padded_.data(), size, padded_.size());
    if (const auto error = parser_.iterate(json).get(document)) return not_json(error);
    ondemand::object object;
    if (const auto error = document.get_object().get(object)) return not_json(error);
    for (auto entry : object) {
      ondemand::field field;
      if (const auto error = std::move(entry).get(field)) return not_json(error);
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return not_json(error);
      const auto column = columns_.find(key);
      if (column == columns_.end() || is_constant(column->second)) {
        // Read to the end: the parser would pass over broken values unseen.
        if (const auto error = walk(field.value(), 0)) return not_json(error);
        continue;
      }
      if (seen_[column->second])
        return column_error(schema_->field(column->second), "appears twice");
      seen_[column->second] = true;
      QW_TRY(read_value(column->second, field.value()));
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return Error{ErrorCode::kBadInput, "more text follows the JSON object", "", ""};
    return {};
  }

  static simdjson::error_code walk_object(ondemand::value& value, int depth) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    for (auto entry : object) {
      ondemand::field field;
      if (const auto error = std::move(entry).get(field)) return error;
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return error;
      if (const auto error = walk(field.value(), depth + 1)) return error;
    }
    return simdjson::SUCCESS;
  }

  static simdjson::error_code walk(ondemand::value value, int depth) {
    if (depth > 64) return simdjson::DEPTH_ERROR;
    if (is_no_number(token_of(value))) return simdjson::SUCCESS;  // nobody asks for it
    ondemand::json_type type{};
    if (const auto error = value.type().get(type)) return error;
    switch (type) {
      case ondemand::json_type::object: return walk_object(value, depth);
      case ondemand::json_type::array: {
        ondemand::array array;
        if (const auto error = value.get_array().get(array)) return error;
        for (auto item : array) {
          ondemand::value inner;
          if (const auto error = std::move(item).get(inner)) return error;
          if (const auto error = walk(inner, depth + 1)) return error;
        }
        return simdjson::SUCCESS;
      }
      case ondemand::json_type::string: return value.get_string().error();
      case ondemand::json_type::boolean: return value.get_bool().error();
      case ondemand::json_type::null: {
        bool null = false;
        if (const auto error = value.is_null().get(null)) return error;
        return null ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
      }
      case ondemand::json_type::number: {
        const auto error = value.get_number().error();
        // An integer beyond 64 bits is proper JSON that no column of ours wants.
        return error == simdjson::NUMBER_ERROR ? value.get_double().error() : error;
      }
    }
    return simdjson::INCORRECT_TYPE;
  }

  // A number or a word as it stands there; of anything else its beginning.
  static std::string_view token_of(ondemand::value& value) { return trim(value.raw_json_token()); }

  Result<void> read_value(size_t column, ondemand::value value) {
    const schema::Field& field = schema_->field(column);
    std::string_view token = token_of(value);
    if (token.size() > 2 && token.front() == '"' && token.back() == '"')
      token = token.substr(1, token.size() - 2);  // writers that keep to JSON quote a NaN
    QW_ASSIGN(const bool nothing, no_number(column, token));
    if (nothing) return {};
    ondemand::json_type type{};
    if (const auto error = value.type().get(type)) return not_json(error);
    if (type == ondemand::json_type::null) {
      bool null = false;
      if (value.is_null().get(null) != simdjson::SUCCESS || !null)
        return column_error(field, "the value is not JSON");
      return {};
    }
    const auto wanted = wanted_type(field.type);
    if (type != wanted &&
        !(field.type.kind == schema::Kind::kDecimal && type == ondemand::json_type::string))
      return column_error(
          field, fmt::format("{} expected, found {}", wish(field.type), found(value, type)));
    return store(column, value, type);
  }

  ondemand::json_type wanted_type(const schema::Type& type) const {
    switch (type.kind) {
      case schema::Kind::kBool: return ondemand::json_type::boolean;
      case schema::Kind::kString: return ondemand::json_type::string;
      case schema::Kind::kTimestamp:
        return times_.numeric() ? ondemand::json_type::number : ondemand::json_type::string;
      default: return ondemand::json_type::number;
    }
  }

  std::string wish(const schema::Type& type) const {
    if (type.kind != schema::Kind::kTimestamp) return type.to_string();
    return times_.numeric() ? "timestamp as a number" : "timestamp as a string";
  }

  static std::string found(ondemand::value& value, ondemand::json_type type) {
    if (type == ondemand::json_type::object || type == ondemand::json_type::array)
      return std::string(name_of(type));
    return fmt::format("{} {}", name_of(type), token_of(value).substr(0, 64));
  }

  Result<void> store(size_t column, ondemand::value& value, ondemand::json_type type) {
    const schema::Field& field = schema_->field(column);
    if (type == ondemand::json_type::boolean) {
      bool flag = false;
      if (value.get_bool().get(flag)) return column_error(field, "the value is not JSON");
      row_[column] = int64_t{flag};
      return {};
    }
    std::string_view text;
    if (type == ondemand::json_type::string) {
      if (value.get_string().get(text)) return column_error(field, "the string is not proper JSON");
    } else {
      text = token_of(value);
      // The token as the parser sees it must be a proper number: "01", "1.", "+1" are none.
      if (value.get_double().error())
        return column_error(
            field, fmt::format("{} expected, found {}", wish(field.type), text.substr(0, 64)));
    }
    auto cell = parse_cell(text, field.type, times_);
    if (!cell.ok()) return column_error(field, cell.error().message);
    row_[column] = std::move(cell).value();
    return {};
  }

  size_t max_bytes_;
  TimeParser times_;
  std::map<std::string, size_t, std::less<>> columns_;
  ondemand::parser parser_;
  std::string padded_;
  std::vector<bool> seen_;
};

}  // namespace

Result<std::unique_ptr<RecordDecoder>> make_json_decoder(const DecodeOptions& options,
                                                         const TimeParser& times) {
  return std::unique_ptr<RecordDecoder>(std::make_unique<JsonDecoder>(options, times));
}

}  // namespace qw::streams
