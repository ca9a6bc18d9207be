#include "app/config/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace qw::app {

std::string_view name_of(Gravity gravity) {
  switch (gravity) {
    case Gravity::kError: return "error";
    case Gravity::kWarning: return "warning";
    case Gravity::kNote: return "note";
  }
  return "error";
}

void Problems::add(Gravity gravity, std::string code, Place place, std::string message,
                   std::string how_to_mend) {
  for (const Problem& known : all_)
    if (known.place == place && known.message == message) return;
  if (gravity == Gravity::kError) ++errors_;
  // A hostile file may hold thousands of mistakes; what would not be shown is only counted.
  if (all_.size() >= 2 * kMost) return;
  all_.push_back({gravity, std::move(code), place, std::move(message), std::move(how_to_mend)});
}

bool Problems::has(std::string_view code) const {
  return std::any_of(all_.begin(), all_.end(),
                     [code](const Problem& one) { return one.code == code; });
}

std::vector<Problem> Problems::take_sorted() {
  std::stable_sort(all_.begin(), all_.end(),
                   [](const Problem& a, const Problem& b) { return a.gravity < b.gravity; });
  if (all_.size() > kMost) all_.resize(kMost);
  std::stable_sort(all_.begin(), all_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  return std::move(all_);
}

std::string to_text(const Problem& problem, std::string_view path) {
  std::string out(path);
  if (problem.place.line > 0)
    out += fmt::format(":{}:{}", problem.place.line, problem.place.column);
  out += fmt::format(": {}: {}\n", name_of(problem.gravity), problem.message);
  if (!problem.how_to_mend.empty()) out += fmt::format("    {}\n", problem.how_to_mend);
  return out;
}

}  // namespace qw::app
