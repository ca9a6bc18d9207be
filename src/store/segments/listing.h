// The file of views: SQL that any DuckDB reads, with what our own query checks before it believes
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/segments/segment.h"

namespace qw::store {

// A view and the files it reads. A value.
struct ViewFiles {
  std::string view;
  std::vector<Segment> segments;
};

// The SQL with comments behind it: the checksum of each file, and one of all before it.
std::string seal_views(std::string_view sql, const std::vector<ViewFiles>& views);

// `text` is what was sealed, and the files of the views that `question` names, or all, are there
// and those that were written; each is read once. kCorrupt. Views of before have no seal and are
// believed.
Result<void> verify_views(const std::string& segment_folder, std::string_view text,
                          std::optional<std::string_view> question);

}  // namespace qw::store
