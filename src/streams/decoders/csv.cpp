#include "streams/decoders/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "streams/decoders/cell.h"

namespace qw::streams {
namespace {

Error broken(std::string_view what) {
  return Error{ErrorCode::kBadInput, std::string(what), "", ""};
}

class CsvDecoder final : public RecordDecoder {
 public:
  CsvDecoder(const DecodeOptions& options, const TimeParser& times)
      : RecordDecoder(options), options_(options), times_(times) {}

  Result<void> use_names(const std::vector<std::string>& names) {
    targets_.clear();
    std::vector<bool> found(schema_->size());
    for (const std::string& name : names) {
      const auto renamed = options_.rename.find(name);
      const auto column =
          schema_->index_of(renamed == options_.rename.end() ? name : renamed->second);
      if (column && found[*column])
        return broken(fmt::format("the header names the column '{}' twice", name));
      if (column) found[*column] = true;
      targets_.push_back(column && !is_constant(*column) ? column : std::nullopt);
    }
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i] || is_constant(i) || schema_->field(i).nullable) continue;
      return Error{ErrorCode::kBadInput,
                   fmt::format("the column '{}' is not in the header ({})", schema_->field(i).name,
                               fmt::join(names, ", ")),
                   "", "name it in `rename:`, give `columns:`, or make it nullable"};
    }
    named_ = true;
    return {};
  }

  Result<void> use_header(std::string_view record) override {
    QW_ASSIGN(const size_t count, split_csv(record, options_.delimiter, cells_));
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back(cells_[i].text);
    return use_names(names);
  }

  bool needs_header() const override { return options_.columns.empty(); }

  Result<void> decode_record(std::string_view record, schema::Batch& out) override {
    QW_ASSERT(named_);
    if (record.size() > options_.max_record_bytes)
      return broken(describe(Frame::Problem::kTooLong, options_));
    QW_ASSIGN(const size_t count, split_csv(record, options_.delimiter, cells_));
    if (count != targets_.size())
      return broken(fmt::format("{} cells where {} columns are named", count, targets_.size()));
    begin_row();
    for (size_t i = 0; i < count; ++i) {
      if (!targets_[i] || is_null_text(cells_[i])) continue;
      const schema::Field& field = schema_->field(*targets_[i]);
      QW_ASSIGN(const bool nothing, no_number(*targets_[i], cells_[i].text));
      if (nothing) continue;
      auto value = parse_cell(cells_[i].text, field.type, times_);
      if (!value.ok()) return column_error(field, value.error().message);
      row_[*targets_[i]] = std::move(value).value();
    }
    return end_row(out);
  }

 private:
  bool is_null_text(const CsvCell& cell) const {
    return !cell.quoted && std::find(options_.null_texts.begin(), options_.null_texts.end(),
                                     cell.text) != options_.null_texts.end();
  }

  DecodeOptions options_;
  TimeParser times_;
  std::vector<std::optional<size_t>> targets_;  // by cell
  std::vector<CsvCell> cells_;
  bool named_ = false;
};

// Takes a quoted cell from the front of `rest` (which begins with the quote).
Result<void> take_quoted(std::string_view& rest, std::string& text) {
  rest.remove_prefix(1);
  while (true) {
    const size_t quote = rest.find('"');
    if (quote == std::string_view::npos) return broken("a quote is never closed");
    text.append(rest.substr(0, quote));
    rest.remove_prefix(quote + 1);
    if (!rest.starts_with('"')) return {};
    text.push_back('"');
    rest.remove_prefix(1);
  }
}

}  // namespace

Result<size_t> split_csv(std::string_view record, char delimiter, std::vector<CsvCell>& cells) {
  size_t count = 0;
  std::string_view rest = record;
  while (true) {
    if (count == cells.size()) cells.emplace_back();
    CsvCell& cell = cells[count++];
    cell.text.clear();
    cell.quoted = rest.starts_with('"');
    if (cell.quoted) {
      QW_TRY(take_quoted(rest, cell.text));
      if (!rest.empty() && rest.front() != delimiter)
        return broken(fmt::format("text follows the closing quote of cell {}", count));
    } else {
      const size_t end = std::min(rest.find(delimiter), rest.size());
      cell.text.assign(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    if (rest.empty()) return count;
    rest.remove_prefix(1);
  }
}

Result<std::unique_ptr<RecordDecoder>> make_csv_decoder(const DecodeOptions& options,
                                                        const TimeParser& times) {
  auto decoder = std::make_unique<CsvDecoder>(options, times);
  if (!options.columns.empty()) QW_TRY(decoder->use_names(options.columns));
  return std::unique_ptr<RecordDecoder>(std::move(decoder));
}

}  // namespace qw::streams
