#include "store/segments/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "base/bytes.h"

namespace qw::store {
namespace {

// Views of before began otherwise; so a seal that was cut off is missed.
constexpr std::string_view kHead =
    "-- Sealed views over the segments of this folder; replaced whenever they change.\n"
    "-- For a DuckDB that was started in this folder: .read views.sql\n";
constexpr std::string_view kHeadOfBefore = "-- Views over";
constexpr std::string_view kFile = "-- file ";
constexpr std::string_view kSeal = "-- seal ";

std::string lower(std::string_view text) {
  std::string all(text);
  std::transform(all.begin(), all.end(), all.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return all;
}

Error damaged(const std::string& folder) {
  return {ErrorCode::kCorrupt, "the list of views is damaged",
          fmt::format("{}/{}", folder, kViewsFile),
          "start the application once: it is written anew"};
}

}  // namespace

std::string seal_views(std::string_view sql, const std::vector<ViewFiles>& views) {
  std::string text = fmt::format("{}{}", kHead, sql);
  for (const ViewFiles& view : views)
    for (const Segment& segment : view.segments)
      if (segment.checksum != 0)
        text +=
            fmt::format("{}{:016x} {} {}\n", kFile, segment.checksum, segment.file(), view.view);
  return text + fmt::format("{}{:016x}\n", kSeal, checksum64(text));
}

Result<void> verify_views(const std::string& folder, std::string_view text,
                          std::optional<std::string_view> question) {
  if (text.starts_with(kHeadOfBefore)) return {};
  const size_t seal = text.rfind(kSeal);
  if (!text.starts_with(kHead) || seal == std::string_view::npos ||
      text.substr(seal) != fmt::format("{}{:016x}\n", kSeal, checksum64(text.substr(0, seal))))
    return damaged(folder);
  const std::string asked = lower(question.value_or(""));
  std::istringstream lines{std::string(text.substr(0, seal))};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kFile)) continue;
    std::istringstream words(line.substr(kFile.size()));
    uint64_t checksum = 0;
    std::string file, view;
    words >> std::hex >> checksum >> file >> std::ws;
    std::getline(words, view);
    if (question && asked.find(lower(view)) == std::string::npos) continue;
    const std::string path = fmt::format("{}/{}", folder, file);
    const auto whole = verify_segment_file(path, checksum);
    // What retention removes stays for long enough for any question.
    if (!whole.ok() && whole.error().code == ErrorCode::kNotFound)
      return Error{ErrorCode::kCorrupt, "a segment is missing", path, kMendDamage};
    if (!whole.ok()) return whole;
  }
  return {};
}

}  // namespace qw::store
