#include "features/stream/working.h"

#include <algorithm>

namespace qw::features {

KeyState::Working::Working(const KeyState& state, ViewWorker& worker)
    : begins(worker.begins_.size(), state.head_), capacity_(state.capacity_) {
  bytes_ = sizeof *this;
  for (const ViewWorker::Argument& argument : worker.arguments_) {
    auto& kinds = blocks_.emplace_back();
    for (const SummaryKind* kind : argument.kinds) {
      kinds.push_back(kind->make(capacity_ >> (kFirstLevel - 1)));
      bytes_ += kinds.back()->bytes() + sizeof kinds.back();
    }
    bytes_ += sizeof kinds;
  }
  sum_up(state, worker, state.head_);
}

void KeyState::Working::inserted(const KeyState& state, ViewWorker& worker, size_t index) {
  sum_up(state, worker, state.head_ + index);
}

// Makes anew every block that ends after `from`.
void KeyState::Working::sum_up(const KeyState& state, ViewWorker& worker, size_t from) {
  const size_t head = state.head_;
  const size_t end = head + state.size_;
  for (size_t level = kFirstLevel; (size_t{1} << level) <= capacity_; ++level) {
    const size_t rows = size_t{1} << level;
    const size_t first = std::max(from >> level, (head + rows - 1) >> level);
    if ((first + 1) << level > end) return;
    for (size_t a = 0; a < blocks_.size(); ++a) {
      const ViewWorker::Argument& argument = worker.arguments_[a];
      Reading reading = argument.reading;
      reading.texts = state.texts();
      for (size_t nth = first; (nth + 1) << level <= end; ++nth) {
        if (level == kFirstLevel) {
          worker.words_.clear();
          for (size_t row = nth * rows - head; row < (nth + 1) * rows - head; ++row)
            if (((state.nulls_at(row) >> a) & 1) == 0)
              worker.words_.push_back(state.word_at(row, a));
        }
        for (size_t k = 0; k < argument.kinds.size(); ++k) {
          Summaries& all = *blocks_[a][k];
          if (level == kFirstLevel)
            argument.kinds[k]->of_words(all, number(level, nth), worker.words_, reading);
          else
            argument.kinds[k]->of_pair(all, number(level, nth), number(level - 1, 2 * nth),
                                       number(level - 1, 2 * nth + 1), reading);
        }
      }
    }
  }
}

void KeyState::Working::take_apart(size_t begin, size_t end, std::vector<uint32_t>& blocks,
                                   std::vector<std::pair<uint32_t, uint32_t>>& runs) const {
  constexpr size_t kRows = size_t{1} << kFirstLevel;
  size_t first = (begin + kRows - 1) >> kFirstLevel;
  size_t last = end >> kFirstLevel;
  const auto run = [&](size_t from, size_t to) {
    if (from < to) runs.emplace_back(static_cast<uint32_t>(from), static_cast<uint32_t>(to));
  };
  if (first >= last) return run(begin, end);
  run(begin, first << kFirstLevel);
  run(last << kFirstLevel, end);
  for (size_t level = kFirstLevel; first < last; ++level, first /= 2, last /= 2) {
    if (first % 2 != 0) blocks.push_back(static_cast<uint32_t>(number(level, first++)));
    if (last % 2 != 0) blocks.push_back(static_cast<uint32_t>(number(level, --last)));
  }
}

KeyState::Working::Stretch KeyState::Working::stretch(size_t argument, size_t begin, size_t end,
                                                      bool from_end, size_t most) const {
  const auto& counts = static_cast<const SummariesOf<CountSummary>&>(*blocks_[argument][0]).all;
  Stretch best;
  const size_t place = from_end ? end : begin;
  for (size_t level = kFirstLevel;; ++level) {
    const size_t rows = size_t{1} << level;
    if (place % rows != 0 || rows > end - begin) return best;
    const size_t values = counts[number(level, (place >> level) - (from_end ? 1 : 0))].count;
    if (values >= most) return best;
    best = {rows, values};
  }
}

}  // namespace qw::features
