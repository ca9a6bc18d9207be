#include "app/api/board.h"

#include <algorithm>
#include <limits>

namespace qw::app {

std::string unit_of(std::string_view metric) {
  if (metric.ends_with("_percent")) return "%";
  if (metric.ends_with("_bytes_per_s")) return "bytes/s";
  if (metric.ends_with("_bytes")) return "bytes";
  if (metric.ends_with("_per_s")) return "1/s";
  if (metric.ends_with("_celsius")) return "celsius";
  if (metric.ends_with("_ms")) return "ms";
  return {};
}

void Board::add(Kept& kept, const BoardPoint& point) {
  auto& points = kept.series.points;
  if (points.size() < kMaxPoints) {
    points.push_back(point);
    return;
  }
  points[kept.oldest] = point;
  kept.oldest = (kept.oldest + 1) % kMaxPoints;
}

template <class Wanted>
BoardSeries Board::copy(const Kept& kept, size_t skip, const Wanted& wanted) {
  const BoardSeries& from = kept.series;
  BoardSeries to{from.id, from.decision, from.key, from.threshold, from.warm, from.alerting, {}};
  for (size_t index = skip; index < from.points.size(); ++index) {
    const BoardPoint& point = from.points[(kept.oldest + index) % from.points.size()];
    if (wanted(point)) to.points.push_back(point);
  }
  return to;
}

void Board::on_decision(const DecisionSeen& seen) {
  std::string id = plan_->decisions[seen.decision].name + "/" + seen.record.key;
  const std::lock_guard lock(mutex_);
  auto found = kept_.find(id);
  if (found == kept_.end()) {
    if (kept_.size() >= kMaxSeries) {
      ++refused_;
      return;
    }
    found = kept_.emplace(id, Kept{}).first;
    found->second.series.id = std::move(id);
    found->second.series.decision = seen.decision;
    found->second.series.key = seen.record.key;
  }
  BoardSeries& series = found->second.series;
  series.threshold = seen.threshold;
  series.warm = static_cast<double>(seen.warm_up);
  series.alerting = seen.alerting;
  const double none = std::numeric_limits<double>::quiet_NaN();
  add(found->second,
      {seen.record.as_of.value(), seen.value, seen.record.warm ? seen.record.score : none});
}

std::vector<BoardSeries> Board::all(size_t points) const {
  const std::lock_guard lock(mutex_);
  std::vector<BoardSeries> all;
  all.reserve(kept_.size());
  for (const auto& [id, kept] : kept_) {
    const size_t size = kept.series.points.size();
    all.push_back(copy(kept, size - std::min(points, size), [](const auto&) { return true; }));
  }
  return all;
}

std::optional<BoardSeries> Board::find(const std::string& id, int64_t from_us,
                                       int64_t to_us) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(id);
  if (found == kept_.end()) return std::nullopt;
  return copy(found->second, 0, [&](const BoardPoint& point) {
    return point.t_us >= from_us && point.t_us <= to_us;
  });
}

uint64_t Board::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace qw::app
