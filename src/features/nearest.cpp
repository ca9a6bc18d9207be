#include "features/nearest.h"

#include <fmt/format.h>

#include <algorithm>

namespace qw::features {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view wrong, const std::vector<std::string>& candidates) {
  const size_t allowed = std::max<size_t>(1, wrong.size() / 3);
  size_t best = allowed + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const size_t distance = edits(wrong, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string suggest(std::string_view wrong, const std::vector<std::string>& candidates) {
  const std::string near = nearest_name(wrong, candidates);
  if (!near.empty()) return fmt::format("did you mean '{}'?", near);
  constexpr size_t kShown = 20;
  std::string list;
  for (size_t i = 0; i < std::min(candidates.size(), kShown); ++i)
    list += (i == 0 ? "" : ", ") + candidates[i];
  if (candidates.size() > kShown) list += ", ...";
  return list.empty() ? "" : "use one of " + list;
}

}  // namespace qw::features
