#include "features/stream/working.h"

#include <algorithm>

#include "features/kernels/kernels.h"
#include "features/stream/slots.h"

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
  make_indexes(state, worker);
}

void KeyState::Working::make_indexes(const KeyState& state, ViewWorker& worker) {
  for (size_t a = 0; a < worker.arguments_.size(); ++a) {
    const ViewWorker::Argument& argument = worker.arguments_[a];
    if (!argument.distinct && !argument.ranked) continue;
    Indexes& indexes = indexes_.emplace_back();
    indexes.argument = a;
    indexes.reading = argument.reading;
    if (argument.distinct) indexes.distinct = std::make_unique<DistinctIndex>(capacity_);
    std::vector<RankIndex::Entry> entries;
    for (size_t row = 0; row < state.size_; ++row) {
      if (((state.nulls_at(row) >> a) & 1) != 0) continue;
      const auto slot = static_cast<uint32_t>((state.head_ + row) & (capacity_ - 1));
      if (argument.distinct) indexes.distinct->inserted(slot, true, 0, words_of(state, a));
      if (argument.ranked)
        entries.push_back(
            {argument.reading.number(state.word_at(row, a)), oldest_ + static_cast<uint32_t>(row)});
    }
    if (argument.ranked) indexes.ranks = std::make_unique<RankIndex>(std::move(entries), oldest_);
  }
}

void KeyState::Working::inserted(const KeyState& state, ViewWorker& worker, size_t index) {
  sum_up(state, worker, state.head_ + index);
  const size_t later = state.size_ - 1 - index;
  for (const Indexes& indexes : indexes_) {
    const size_t a = indexes.argument;
    const bool has_value = ((state.nulls_at(index) >> a) & 1) == 0;
    const auto slot = static_cast<uint32_t>((state.head_ + index) & (capacity_ - 1));
    if (indexes.distinct) indexes.distinct->inserted(slot, has_value, later, words_of(state, a));
    if (!indexes.ranks) continue;
    const uint32_t row = oldest_ + static_cast<uint32_t>(index);
    if (later > 0) indexes.ranks->shift(row, oldest_);
    if (has_value)
      indexes.ranks->insert({indexes.reading.number(state.word_at(index, a)), row}, oldest_);
  }
}

void KeyState::Working::dropping(const KeyState& state) {
  for (const Indexes& indexes : indexes_) {
    const size_t a = indexes.argument;
    if (((state.nulls_at(0) >> a) & 1) != 0) continue;
    if (indexes.distinct) indexes.distinct->drop(state.head_, words_of(state, a));
    if (indexes.ranks)
      indexes.ranks->erase({indexes.reading.number(state.word_at(0, a)), oldest_}, oldest_);
  }
  ++oldest_;
}

SlotWords KeyState::Working::words_of(const KeyState& state, size_t argument) {
  return {state.ring_.data() + kValuesAt + 8 * argument, state.slot_bytes_};
}

const KeyState::Working::Indexes* KeyState::Working::indexes_of(size_t argument) const {
  const auto found = std::ranges::find(indexes_, argument, &Indexes::argument);
  return found == indexes_.end() ? nullptr : &*found;
}

std::optional<int64_t> KeyState::Working::distinct(const KeyState& state, size_t argument,
                                                   size_t begin, size_t end) const {
  const Indexes* const indexes = indexes_of(argument);
  // Of what is later than the read, the index says that it comes again.
  if (indexes == nullptr || !indexes->distinct || end != state.size_) return {};
  return indexes->distinct->count(state.head_ + begin, state.head_ + end);
}

std::optional<double> KeyState::Working::quantile(size_t argument, size_t begin, size_t end,
                                                  size_t values, double q) const {
  const Indexes* const indexes = indexes_of(argument);
  // A look at each chunk takes about as long as at two rows.
  if (indexes == nullptr || !indexes->ranks || values < 2 * indexes->ranks->chunks()) return {};
  const Rank rank(values, q);
  const RankIndex::Ranked ranked =
      indexes->ranks->at(rank.low, oldest_ + static_cast<uint32_t>(begin),
                         oldest_ + static_cast<uint32_t>(end), oldest_);
  return ranked.next ? rank.between(ranked.value, *ranked.next) : ranked.value;
}

size_t KeyState::Working::bytes() const {
  size_t bytes = bytes_ + begins.capacity() * sizeof(uint32_t);
  for (const Indexes& indexes : indexes_)
    bytes += sizeof indexes + (indexes.distinct ? indexes.distinct->bytes() : 0) +
             (indexes.ranks ? indexes.ranks->bytes() : 0);
  return bytes;
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
