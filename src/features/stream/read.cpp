// Features of a key at a moment, computed from its rows.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "features/expression/kernels.h"
#include "features/kernels/kernels.h"
#include "features/stream/texts.h"

namespace qw::features {

using schema::Kind;

// One read. All windows end at the same row, so each is a suffix of the longest: an argument's
// values are gathered once, and a window is a suffix of those.
class KeyState::Reader {
 public:
  Reader(const KeyState& state, ViewWorker& worker, const ReadPoint& point, FeatureRow& out)
      : state_(state), view_(worker.view()), point_(point), worker_(worker), out_(out) {}

  void run() {
    find_rows();
    out_.cells.assign(view_.features().size(), Cell{});
    out_.statuses.assign(view_.features().size(), FeatureStatus::kPresent);
    for (size_t a = 0; a < view_.aggregates().size(); ++a) {
      const Aggregate& aggregate = view_.aggregates()[a];
      if (aggregate.argument && aggregate.argument_slot != gathered_)
        gather(aggregate.argument_slot);
      aggregate_ = &aggregate;
      for (size_t f = 0; f < view_.features().size(); ++f)
        if (view_.features()[f].aggregate == a) compute(view_.features()[f], f);
    }
    mark_missing();
  }

 private:
  // The rows [begins[w], end_) are window w, but for those not known yet.
  void find_rows() {
    const int64_t t = point_.event_time.value();
    const bool about_event = point_.seq.value() != ReadPoint::kEverySeq;
    const bool leave_out = about_event && view_.definition().exclude_current;
    cut_ = about_event ? point_.seq.value() + (leave_out ? 0 : 1) : ReadPoint::kEverySeq;
    end_ = state_.lower_bound(t, cut_);
    worker_.begins_.clear();
    longest_ = end_;
    for (const Window& window : view_.windows()) {
      const size_t begin = std::min(state_.lower_bound(window.first_inside(t), 0), end_);
      worker_.begins_.push_back(static_cast<uint32_t>(begin));
      longest_ = std::min(longest_, begin);
    }
    check_known_ = point_.known.value() < state_.max_seq_;
  }

  bool known(size_t row) const {
    return !check_known_ || state_.seq_at(row) <= point_.known.value();
  }
  bool has(size_t row, size_t slot) const {
    return ((state_.nulls_at(row) >> slot) & 1) == 0 && known(row);
  }

  // Values of one argument over the longest window, nulls left out; ends_[w] tells how many of
  // them come before window w.
  void gather(size_t slot) {
    gathered_ = slot;
    worker_.ints_.clear();
    for (size_t row = longest_; row < end_; ++row)
      if (has(row, slot)) worker_.ints_.push_back(state_.word_at(row, slot));
    const Kind kind = view_.arguments()[slot].type().kind;
    worker_.doubles_.resize(worker_.ints_.size());
    if (worker_.ints_.empty()) return;  // an empty vector has no address to copy from
    if (kind == Kind::kDouble) {
      std::memcpy(worker_.doubles_.data(), worker_.ints_.data(), worker_.ints_.size() * 8);
    } else if (kind == Kind::kInt64 || kind == Kind::kDecimal) {
      const int64_t power = kPowerOfTen[view_.arguments()[slot].type().scale];
      for (size_t i = 0; i < worker_.ints_.size(); ++i)
        worker_.doubles_[i] = decimal_to_double(worker_.ints_[i], power);
    }
  }

  // How many values of the gathered argument lie before the window.
  size_t skipped(size_t begin) const {
    if (begin == longest_) return 0;
    size_t inside = 0;
    for (size_t row = begin; row < end_; ++row) inside += has(row, gathered_) ? 1 : 0;
    return worker_.ints_.size() - inside;
  }

  int64_t count_rows(size_t begin) const {
    if (!check_known_) return static_cast<int64_t>(end_ - begin);
    int64_t count = 0;
    for (size_t row = begin; row < end_; ++row) count += known(row) ? 1 : 0;
    return count;
  }

  void compute(const Feature& feature, size_t index) {
    const size_t begin = worker_.begins_[feature.window];
    Cell& out = out_.cells[index];
    if (!aggregate_->argument) {
      count_into(out, count_rows(begin), feature);
      return;
    }
    switch (aggregate_->kind) {
      case AggregateKind::kFirst:
      case AggregateKind::kLast: edge_value(begin, index); return;
      case AggregateKind::kLastK: nth_newest(begin, feature.nth, out); return;
      default: break;
    }
    const size_t skip = skipped(begin);
    const std::span<const int64_t> ints = std::span(worker_.ints_).subspan(skip);
    if (aggregate_->kind == AggregateKind::kCount || aggregate_->kind == AggregateKind::kRate)
      return count_into(out, static_cast<int64_t>(ints.size()), feature);
    if (aggregate_->kind == AggregateKind::kCountDistinct) {
      distinct_.assign(ints.begin(), ints.end());
      out = Cell::of_int(distinct_of(distinct_));
      return;
    }
    if (ints.empty()) return;
    numbers(ints, std::span(worker_.doubles_).subspan(skip), index);
  }

  void count_into(Cell& out, int64_t count, const Feature& feature) const {
    if (aggregate_->kind != AggregateKind::kRate) {
      out = Cell::of_int(count);
    } else if (count > 0) {
      const auto length_us = static_cast<double>(view_.windows()[feature.window].length_us);
      out = Cell::of_double(static_cast<double>(count) * 1e6 / length_us);
    }
  }

  void numbers(std::span<const int64_t> ints, std::span<const double> doubles, size_t index) {
    const schema::Type type = aggregate_->argument->type();
    const auto count = static_cast<double>(ints.size());
    Cell& out = out_.cells[index];
    switch (aggregate_->kind) {
      case AggregateKind::kSum:
        if (type.kind == Kind::kDouble) return within_range(sum_compensated(doubles), index);
        out = type.kind == Kind::kDecimal ? narrow_decimal(sum_exact(ints), kPowerOfTen[18])
                                          : narrow(sum_exact(ints));
        if (out.null) out_.statuses[index] = FeatureStatus::kOverflow;
        return;
      case AggregateKind::kMean:
        if (type.kind == Kind::kDouble)
          within_range(mean_of(doubles), index);
        else
          out = Cell::of_double(static_cast<double>(sum_exact(ints)) / count /
                                static_cast<double>(kPowerOfTen[type.scale]));
        return;
      case AggregateKind::kVariance:
        if (doubles.size() >= 2) within_range(spread_of(doubles).variance, index);
        return;
      case AggregateKind::kStddev:
        if (doubles.size() >= 2) within_range(spread_of(doubles).stddev, index);
        return;
      case AggregateKind::kQuantile:
        worker_.sorted_.assign(doubles.begin(), doubles.end());
        out = Cell::of_double(quantile_of(worker_.sorted_, aggregate_->quantile));
        return;
      default: extreme(ints, doubles, type.kind, out); return;
    }
  }

  void within_range(double value, size_t index) {
    out_.cells[index] = Cell::of_double(value);
    if (out_.cells[index].null) out_.statuses[index] = FeatureStatus::kOverflow;
  }

  void extreme(std::span<const int64_t> ints, std::span<const double> doubles, Kind kind,
               Cell& out) const {
    const bool least = aggregate_->kind == AggregateKind::kMin;
    if (kind == Kind::kDouble) {
      const auto [low, high] = std::ranges::minmax_element(doubles);
      out = Cell::of_double(least ? *low : *high);
    } else if (kind == Kind::kString) {
      const auto by_text = [this](int64_t id) { return state_.texts_->at(id); };
      const auto [low, high] = std::ranges::minmax_element(ints, {}, by_text);
      out = Cell::of_text(by_text(least ? *low : *high));
    } else {
      const auto [low, high] = std::ranges::minmax_element(ints);
      out = Cell::of_int(least ? *low : *high);
    }
  }

  Cell cell_in(size_t row) const {
    const int64_t word = state_.word_at(row, gathered_);
    const Kind kind = aggregate_->argument->type().kind;
    if (kind == Kind::kString) return Cell::of_text(state_.texts_->at(word));
    if (kind == Kind::kDouble) return Cell::of_double(std::bit_cast<double>(word));
    return Cell::of_int(word);
  }

  void edge_value(size_t begin, size_t index) {
    const bool newest = aggregate_->kind == AggregateKind::kLast;
    for (size_t step = 0; step < end_ - begin; ++step) {
      const size_t row = newest ? end_ - 1 - step : begin + step;
      if (!has(row, gathered_)) continue;
      const int64_t age_us = point_.event_time.value() - state_.time_at(row);
      if (aggregate_->max_age_us != 0 && age_us >= aggregate_->max_age_us)
        out_.statuses[index] = FeatureStatus::kOutsideMaxAge;
      else
        out_.cells[index] = cell_in(row);
      return;
    }
  }

  void nth_newest(size_t begin, int64_t nth, Cell& out) const {
    for (size_t row = end_; row > begin; --row) {
      if (!has(row - 1, gathered_) || --nth > 0) continue;
      out = cell_in(row - 1);
      return;
    }
  }

  // A window that lost events says so; of one that refused some, nothing is known to be right.
  void mark_missing() {
    const int64_t lost = std::max(state_.newest_pruned_, point_.lost.value());
    for (size_t f = 0; f < view_.features().size(); ++f) {
      const Window& window = view_.windows()[view_.features()[f].window];
      const int64_t first = window.first_inside(point_.event_time.value());
      if (lost >= first) out_.statuses[f] = FeatureStatus::kIncomplete;
      if (!refused_inside(first)) continue;
      out_.statuses[f] = FeatureStatus::kHotKey;
      out_.cells[f] = Cell{};
    }
  }

  bool refused_inside(int64_t first) const {
    const auto end = std::pair(point_.event_time.value(), cut_);
    return std::ranges::any_of(state_.refused_, [&](const Refused& span) {
      return span.last.first >= first && span.first < end;
    });
  }

  const KeyState& state_;
  const View& view_;
  const ReadPoint& point_;
  ViewWorker& worker_;
  FeatureRow& out_;
  const Aggregate* aggregate_ = nullptr;
  uint64_t cut_ = 0;  // at the read's time, events with a seq from here on are not inside
  size_t end_ = 0;
  size_t longest_ = 0;
  size_t gathered_ = std::numeric_limits<size_t>::max();
  bool check_known_ = false;
  std::vector<int64_t> distinct_;
};

void KeyState::read(ViewWorker& worker, const ReadPoint& point, FeatureRow& out) const {
  Reader(*this, worker, point, out).run();
}

void KeyState::read(ViewWorker& worker, const ReadPoint& point, schema::Batch& out) const {
  FeatureRow row;
  read(worker, point, row);
  for (size_t i = 0; i < row.cells.size(); ++i) append_cell(out.column(i), row.cells[i]);
}

}  // namespace qw::features
