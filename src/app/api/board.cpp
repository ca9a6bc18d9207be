#include "app/api/board.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qw::app {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

BoardPoint point_of(const schema::DecisionRecord& record, double value) {
  return {record.as_of.value(), value, record.warm ? record.score : kNone,
          record.event_seq.value()};
}

}  // namespace

BoardRow BoardRow::of(const BoardPoint& point) {
  const bool known = std::isfinite(point.value);
  const double value = known ? point.value : kNone;
  return {point.t_us, point.t_us, value, value, value, point.score, point.seq, 1, known ? 1u : 0u};
}

void BoardRow::add(const BoardRow& later) {
  if (values == 0) {
    mean = later.mean;
  } else if (later.values > 0) {
    const double all = values + later.values;
    mean = mean * (values / all) + later.mean * (later.values / all);
  }
  min = std::fmin(min, later.min);  // of a number and a NaN: the number
  max = std::fmax(max, later.max);
  score = std::fmax(score, later.score);
  first_us = std::min(first_us, later.first_us);
  t_us = std::max(t_us, later.t_us);
  seq = later.seq;
  rows += later.rows;
  values += later.values;
}

void Board::add(Kept& kept, const BoardPoint& point) {
  kept.first_seen = std::min(kept.first_seen, point.seq);
  kept.points.push_back(point);
  if (kept.points.size() <= kMaxPoints) return;
  const BoardRow oldest = BoardRow::of(kept.points.front());
  kept.points.pop_front();
  if (kept.blocks.empty() || kept.blocks.back().rows >= kBlockRows)
    kept.blocks.push_back(oldest);
  else
    kept.blocks.back().add(oldest);
  if (kept.blocks.size() > kMaxBlocks) kept.blocks.pop_front();
}

BoardSeries Board::copy(const Kept& kept, size_t points) {
  BoardSeries series = kept.series;
  const size_t count = std::min(points, kept.points.size());
  series.points.assign(kept.points.end() - static_cast<ptrdiff_t>(count), kept.points.end());
  return series;
}

Board::Kept* Board::find_or_make(size_t decision, const std::string& key, PartitionId stream) {
  std::string id = plan_->decisions[decision].name + "/" + key;
  auto found = kept_.find(id);
  if (found != kept_.end()) return &found->second;
  if (kept_.size() >= kMaxSeries) return nullptr;
  BoardSeries& made = kept_[id].series;
  made.id = id;
  made.decision = decision;
  made.key = key;
  made.stream = stream;
  made.threshold = made.score_max = kNone;
  return &kept_[id];
}

void Board::on_decision(const DecisionSeen& seen) {
  const BoardPoint point = point_of(seen.record, seen.value);
  const std::lock_guard lock(mutex_);
  Kept* const kept = find_or_make(seen.decision, seen.record.key, seen.stream);
  if (kept == nullptr) {
    ++refused_;
    return;
  }
  BoardSeries& series = kept->series;
  series.threshold = seen.threshold;
  series.warm = static_cast<double>(seen.warm_up);
  series.alerting = seen.alerting;
  series.score_max = seen.alerting ? std::fmax(series.score_max, point.score) : kNone;
  ++series.fresh;
  add(*kept, point);
}

bool Board::recall(size_t decision, PartitionId stream, Seq seq,
                   const schema::DecisionRecord& record, double value) {
  const std::lock_guard lock(mutex_);
  Kept* const kept = find_or_make(decision, record.key, stream);
  if (kept == nullptr) return false;
  if (seq.value() >= kept->first_seen) return true;
  if (kept->points.empty()) kept->series.warm = record.warm ? 1 : 0;
  const BoardPoint point = point_of(record, value);
  if (kept->points.size() >= kMaxPoints) return add_before(kept->blocks, BoardRow::of(point));
  kept->points.push_front(point);
  return true;
}

bool Board::add_before(std::deque<BoardRow>& blocks, BoardRow row) {
  if (!blocks.empty() && blocks.front().rows < kBlockRows) {
    row.add(blocks.front());
    blocks.front() = row;
    return true;
  }
  if (blocks.size() >= kMaxBlocks) return false;
  blocks.push_front(row);
  return true;
}

// One series under the lock at a time, so that the pipeline never waits for all of them.
template <class Visit>
void Board::each(const Visit& visit) const {
  std::string last;
  while (true) {
    const std::lock_guard lock(mutex_);
    const auto next = kept_.upper_bound(last);
    if (next == kept_.end()) return;
    last = next->first;
    visit(next->second);
  }
}

std::vector<BoardSeries> Board::all(size_t points) const {
  std::vector<BoardSeries> all;
  each([&](const Kept& kept) { all.push_back(copy(kept, points)); });
  return all;
}

std::vector<BoardSeries> Board::take_changed() {
  std::vector<BoardSeries> changed;
  each([&](const Kept& kept) {
    if (kept.series.fresh == 0) return;
    changed.push_back(copy(kept, 1));
    const_cast<Kept&>(kept).series.fresh = 0;
  });
  return changed;
}

std::optional<BoardSeries> Board::find(const std::string& id, size_t points) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(id);
  if (found == kept_.end()) return std::nullopt;
  return copy(found->second, points);
}

std::optional<BoardPoint> Board::newest(const std::string& id, int64_t at_us) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(id);
  if (found == kept_.end()) return std::nullopt;
  const auto& points = found->second.points;
  const BoardPoint* newest = nullptr;
  for (const BoardPoint& point : points)
    if (point.t_us <= at_us && (newest == nullptr || point.t_us >= newest->t_us)) newest = &point;
  if (newest == nullptr) return std::nullopt;
  return *newest;
}

std::optional<Board::Span> Board::span(const std::string& id, int64_t from_us,
                                       int64_t to_us) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(id);
  if (found == kept_.end() || found->second.points.empty()) return std::nullopt;
  const Kept& kept = found->second;
  Span span;
  span.series = kept.series;
  span.kept_from_us = kept.blocks.empty() ? kept.points.front().t_us : kept.blocks.front().first_us;
  span.newest_us = kept.points.back().t_us;
  for (const BoardRow& block : kept.blocks)
    if (block.t_us >= from_us && block.first_us <= to_us) span.rows.push_back(block);
  for (const BoardPoint& point : kept.points)
    if (point.t_us >= from_us && point.t_us <= to_us) span.rows.push_back(BoardRow::of(point));
  return span;
}

Board::WarmUp Board::warm_up() const {
  WarmUp up;
  each([&](const Kept& kept) {
    ++up.series;
    up.warm += kept.series.warm >= 1;
    up.fraction += kept.series.warm;
  });
  if (up.series > 0) up.fraction /= static_cast<double>(up.series);
  return up;
}

}  // namespace qw::app
