// What is usual for a series: percentiles of its value and features while no alert of it was open.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/api/board.h"
#include "app/api/json.h"
#include "app/api/names.h"
#include "store/commit/journal_kinds.h"
#include "store/store.h"

namespace qw::app {

using store::UsualSpan;
using store::UsualSpans;

// From at most kUsualRows of the kept rows before `before_us`, evenly taken, without those in
// `alerts` (event time, from and to); nothing from fewer than kUsualRowsMin. Reads the decision
// log; what is not there any more is left out.
constexpr size_t kUsualRows = 200;
constexpr size_t kUsualRowsMin = 20;
UsualSpans usual_of(const Board& board, const Names& names, const store::Store& store,
                    const std::string& series_id, int64_t before_us,
                    const std::vector<std::pair<int64_t, int64_t>>& alerts);

// Sets usual_low, usual_mid and usual_high; null where `name` is not known.
void add_usual(Json& body, const UsualSpans& usual, const std::string& name);

}  // namespace qw::app
