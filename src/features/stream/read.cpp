// Features of a key at a moment: windows put together from blocks of rows (working.h), and what no
// block covers from the rows themselves.
#include <algorithm>

#include "features/kernels/kernels.h"
#include "features/stream/slots.h"
#include "features/stream/texts.h"
#include "features/stream/working.h"

namespace qw::features {

using schema::Kind;

// One read. All windows end at the same row. Where only what was known then may be seen, every row
// is looked at.
class KeyState::Reader final : public ArgumentRows {
 public:
  Reader(const KeyState& state, ViewWorker& worker, const ReadPoint& point, FeatureRow& out)
      : state_(state), view_(worker.view()), point_(point), worker_(worker), out_(out) {}

  void run() {
    find_rows();
    out_.cells.assign(view_.features().size(), Cell{});
    out_.statuses.assign(view_.features().size(), FeatureStatus::kPresent);
    take_apart();
    for (size_t a = 0; a < worker_.arguments_.size(); ++a) {
      argument_ = a;
      sum_up(worker_.arguments_[a]);
      ask_all();
    }
    argument_ = kNoArgument;
    count_rows();
    ask_all();
    mark_missing();
  }

  std::optional<size_t> nth_oldest(size_t window, size_t nth) const override {
    for (size_t row = worker_.begins_[window]; row < end_;) {
      if (has(row) && --nth == 0) return row;
      ++row;
      if (const auto [rows, values] = stretch(row, end_, false, nth); rows > 0) {
        row += rows;
        nth -= values;
      }
    }
    return {};
  }
  std::optional<size_t> nth_newest(size_t window, size_t nth) const override {
    const size_t begin = worker_.begins_[window];
    for (size_t row = end_; row > begin;) {
      if (has(row - 1) && --nth == 0) return row - 1;
      --row;
      if (const auto [rows, values] = stretch(begin, row, true, nth); rows > 0) {
        row -= rows;
        nth -= values;
      }
    }
    return {};
  }
  int64_t time_us(size_t row) const override { return state_.time_at(row); }
  Cell cell(size_t row) const override { return reading_.cell(state_.word_at(row, argument_)); }
  std::span<const int64_t> words(size_t window) override {
    worker_.window_words_.clear();
    append_words(worker_.begins_[window], end_, worker_.window_words_);
    return worker_.window_words_;
  }
  int64_t distinct(size_t window) override {
    if (working_ != nullptr)
      if (const auto known = working_->distinct(state_, argument_, worker_.begins_[window], end_))
        return *known;
    words(window);
    return distinct_of(worker_.window_words_);
  }
  double quantile(size_t window, double q) override {
    if (working_ != nullptr) {
      const auto& counts = static_cast<const SummariesOf<CountSummary>&>(
          *worker_.arguments_[argument_].windows.front());
      const auto known =
          working_->quantile(argument_, worker_.begins_[window], end_, counts.all[window].count, q);
      if (known) return *known;
    }
    worker_.numbers_.clear();
    for (const int64_t word : words(window)) worker_.numbers_.push_back(reading_.number(word));
    return quantile_of(worker_.numbers_, q);
  }

 private:
  static constexpr size_t kNoArgument = std::numeric_limits<size_t>::max();

  // The rows [begins[w], end_) are window w, but for those not known yet.
  void find_rows() {
    const int64_t t = point_.event_time.value();
    const bool about_event = point_.seq.value() != ReadPoint::kEverySeq;
    const bool leave_out = about_event && view_.definition().exclude_current;
    cut_ = about_event ? point_.seq.value() + (leave_out ? 0 : 1) : ReadPoint::kEverySeq;
    check_known_ = point_.known.value() < state_.max_seq_;
    if (!state_.working_ && state_.size_ >= Working::kRowsFrom)
      state_.working_ = std::make_unique<Working>(state_, worker_);
    working_ = state_.working_.get();
    end_ = state_.lower_bound(t, cut_);
    const uint32_t mask = state_.capacity_ - 1;
    size_t begin = end_;
    for (size_t w = 0; w < view_.windows().size(); ++w) {
      const int64_t first = view_.windows()[w].first_inside(t);
      earliest_ = std::min(earliest_, first);
      // From where it was when it was last read, or from where the window before begins.
      if (working_ != nullptr) begin = (working_->begins[w] - state_.head_) & mask;
      begin = state_.lower_bound_near(begin, first);
      if (working_ != nullptr)
        working_->begins[w] = static_cast<uint32_t>(state_.head_ + begin) & mask;
      worker_.begins_[w] = static_cast<uint32_t>(std::min(begin, end_));
    }
    if (check_known_) working_ = nullptr;
  }

  // What each window has more than the one that begins next after it.
  void take_apart() {
    worker_.steps_.clear();
    worker_.runs_.clear();
    worker_.runs_ends_.clear();
    worker_.blocks_.clear();
    const auto later = [this](uint32_t a, uint32_t b) {
      return worker_.begins_[a] > worker_.begins_[b];
    };
    if (!std::ranges::is_sorted(worker_.order_, later)) std::ranges::sort(worker_.order_, later);
    size_t end = end_;
    for (const uint32_t window : worker_.order_) {
      const size_t begin = worker_.begins_[window];
      if (working_ != nullptr)
        working_->take_apart(state_.head_ + begin, state_.head_ + end, worker_.blocks_,
                             worker_.runs_);
      else if (begin < end)
        worker_.runs_.emplace_back(state_.head_ + begin, state_.head_ + end);
      worker_.runs_ends_.push_back(static_cast<uint32_t>(worker_.runs_.size()));
      worker_.steps_.push_back({window, 0, static_cast<uint32_t>(worker_.blocks_.size())});
      end = begin;
    }
  }

  void sum_up(ViewWorker::Argument& argument) {
    reading_ = argument.reading;
    reading_.texts = state_.texts();
    worker_.words_.clear();
    size_t run = 0;
    for (size_t s = 0; s < worker_.steps_.size(); ++s) {
      for (; run < worker_.runs_ends_[s]; ++run)
        append_words(worker_.runs_[run].first - state_.head_,
                     worker_.runs_[run].second - state_.head_, worker_.words_);
      worker_.steps_[s].words_end = static_cast<uint32_t>(worker_.words_.size());
    }
    const Pieces pieces{worker_.steps_, worker_.words_, worker_.blocks_};
    for (size_t k = 0; k < argument.kinds.size(); ++k)
      argument.kinds[k]->of_windows(
          working_ == nullptr ? nullptr : working_->blocks_of(argument_, k), pieces, reading_,
          *argument.windows[k]);
  }

  void count_rows() {
    uint32_t count = 0;
    size_t end = end_;
    for (const uint32_t window : worker_.order_) {
      const size_t begin = worker_.begins_[window];
      if (!check_known_) count += static_cast<uint32_t>(end - begin);
      for (; check_known_ && end > begin; --end) count += known(end - 1) ? 1 : 0;
      end = begin;
      worker_.row_counts_.all[window].count = count;
    }
  }

  // Every aggregate of the argument at hand.
  void ask_all() {
    for (size_t a = 0; a < view_.aggregates().size(); ++a) {
      const Aggregate& aggregate = view_.aggregates()[a];
      if ((aggregate.argument ? aggregate.argument_slot : kNoArgument) != argument_) continue;
      const ViewWorker::Asks& asks = worker_.asks_[a];
      const Summaries& counts = argument_ == kNoArgument
                                    ? worker_.row_counts_
                                    : *worker_.arguments_[argument_].windows.front();
      aggregate.kernel->answer({aggregate, asks.asked, view_.windows(),
                                static_cast<const SummariesOf<CountSummary>&>(counts), asks.windows,
                                reading_, point_.event_time.value(),
                                argument_ == kNoArgument ? nullptr : this, out_.cells,
                                out_.statuses});
    }
  }

  bool known(size_t row) const {
    return !check_known_ || state_.seq_at(row) <= point_.known.value();
  }
  bool has(size_t row) const {
    return ((state_.nulls_at(row) >> argument_) & 1) == 0 && known(row);
  }
  void append_words(size_t begin, size_t end, std::vector<int64_t>& out) const {
    size_t filled = out.size();
    out.resize(filled + (end - begin));
    for (size_t row = begin; row < end;) {
      // As far as the ring goes on.
      const size_t slot = (state_.head_ + row) & (state_.capacity_ - 1);
      const size_t rows = std::min(end - row, state_.capacity_ - slot);
      const char* at = state_.ring_.data() + slot * state_.slot_bytes_;
      for (const char* const to = at + rows * state_.slot_bytes_; at < to;
           at += state_.slot_bytes_) {
        out[filled] = load<int64_t>(at + kValuesAt + 8 * argument_);
        const bool has = ((load<uint64_t>(at + kNullsAt) >> argument_) & 1) == 0;
        filled += has && (!check_known_ || load<uint64_t>(at + kSeqAt) <= point_.known.value());
      }
      row += rows;
    }
    out.resize(filled);
  }
  Working::Stretch stretch(size_t begin, size_t end, bool from_end, size_t most) const {
    if (working_ == nullptr) return {};
    return working_->stretch(argument_, state_.head_ + begin, state_.head_ + end, from_end, most);
  }

  // A window that lost events says so; of one that refused some, nothing is known to be right.
  void mark_missing() {
    const int64_t lost = std::max(state_.newest_pruned_, point_.lost.value());
    if (lost < earliest_ && state_.refused_.empty()) return;
    for (size_t w = 0; w < view_.windows().size(); ++w) {
      const int64_t first = view_.windows()[w].first_inside(point_.event_time.value());
      const bool refused = refused_inside(first);
      if (lost < first && !refused) continue;
      for (size_t f = 0; f < view_.features().size(); ++f) {
        if (view_.features()[f].window != w) continue;
        out_.statuses[f] = refused ? FeatureStatus::kHotKey : FeatureStatus::kIncomplete;
        if (refused) out_.cells[f] = Cell{};
      }
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
  Working* working_ = nullptr;  // null: every row is looked at
  uint64_t cut_ = 0;            // at the read's time, events with a seq from here on are not inside
  int64_t earliest_ = std::numeric_limits<int64_t>::max();  // first time in any window
  size_t end_ = 0;
  bool check_known_ = false;
  size_t argument_ = kNoArgument;  // the one at hand
  Reading reading_;                // of it
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
