// The labelled windows of a replayed folder, as the page draws them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/api/series.h"
#include "base/result.h"

namespace qw::app {

// By the name of a series.
using DatasetLabels = std::map<std::string, std::vector<LabelSpan>>;

// Reads {"folder/file.csv": [["2014-04-10 07:15:00.000000", "..."], ...], ...}, UTC; a series is
// named like its file, without folder and ending. kNotFound, kBadInput naming the file.
Result<DatasetLabels> read_dataset_labels(const std::string& path);

}  // namespace qw::app
