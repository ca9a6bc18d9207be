#include "app/api/dataset_labels.h"

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "train/nab/corpus.h"

namespace qw::app {
namespace {

using nlohmann::json;

constexpr size_t kLabelBytesMax = 16u << 20;

Result<LabelSpan> span_of(const json& window, const std::string& path, const std::string& file) {
  if (!window.is_array() || window.size() != 2 || !window[0].is_string() || !window[1].is_string())
    return Error{ErrorCode::kBadInput, "a window of '" + file + "' is not two times", path,
                 R"(write ["2014-04-10 07:15:00", "2014-04-11 16:45:00"])"};
  LabelSpan span;
  QW_ASSIGN(span.from_us, train::nab::parse_time_us(window[0].get<std::string>()));
  QW_ASSIGN(span.to_us, train::nab::parse_time_us(window[1].get<std::string>()));
  span.kind = "dataset";
  span.name = "labelled";
  return span;
}

std::string stem_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  return name.substr(0, name.rfind('.'));
}

}  // namespace

Result<DatasetLabels> read_dataset_labels(const std::string& path) {
  QW_ASSIGN(const std::string text, read_file(path, kLabelBytesMax));
  const json all = json::parse(text, nullptr, false);
  if (!all.is_object())
    return Error{ErrorCode::kBadInput, "this is not one JSON object", path,
                 R"(write {"folder/file.csv": [[FROM, TO], ...]})"};
  DatasetLabels labels;
  for (const auto& [file, windows] : all.items()) {
    if (!windows.is_array())
      return Error{ErrorCode::kBadInput, "the windows of '" + file + "' are not a list", path, ""};
    for (const json& window : windows) {
      QW_ASSIGN(LabelSpan span, span_of(window, path, file));
      labels[stem_of(file)].push_back(std::move(span));
    }
  }
  return labels;
}

}  // namespace qw::app
