#include "features/stream/key_state.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "features/stream/slots.h"
#include "features/stream/texts.h"
#include "features/stream/working.h"

namespace qw::features {
namespace {

constexpr uint32_t kFirstCapacity = 8;
bool is_text(const Expression& argument) { return argument.type().kind == schema::Kind::kString; }

int64_t before(int64_t latest, int64_t span_us) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  return latest < kLowest + span_us ? kLowest : latest - span_us;
}

}  // namespace

ViewWorker::ViewWorker(ViewPtr view)
    : view_(std::move(view)),
      evaluators_(view_->arguments().begin(), view_->arguments().end()),
      asks_(view_->aggregates().size()),
      row_counts_(view_->windows().size()) {
  const size_t windows = view_->windows().size();
  for (const Expression& argument : view_->arguments()) {
    Argument& one = arguments_.emplace_back();
    one.reading.type = argument.type();
    one.kinds.push_back(&SummaryOf<CountSummary>::kind());
    one.windows.push_back(one.kinds.back()->make(windows));
  }
  for (size_t a = 0; a < asks_.size(); ++a) {
    const Aggregate& aggregate = view_->aggregates()[a];
    if (!aggregate.argument) continue;
    Argument& argument = arguments_[aggregate.argument_slot];
    argument.distinct |= aggregate.kernel->index() == ValueIndex::kDistinct;
    argument.ranked |= aggregate.kernel->index() == ValueIndex::kRanked;
    const SummaryKind* const kind = aggregate.kernel->summary(argument.reading.type);
    if (kind == nullptr) continue;
    const size_t at = argument.kind_of(kind);
    if (at == argument.kinds.size()) {
      argument.kinds.push_back(kind);
      argument.windows.push_back(kind->make(windows));
    }
    asks_[a].windows = argument.windows[at].get();
  }
  for (size_t f = 0; f < view_->features().size(); ++f) {
    const Feature& feature = view_->features()[f];
    asks_[feature.aggregate].asked.push_back({f, feature.window, feature.nth});
  }
  for (uint32_t w = 0; w < windows; ++w) order_.push_back(w);
  begins_.resize(windows);
}

size_t ViewWorker::Argument::kind_of(const SummaryKind* kind) const {
  return static_cast<size_t>(std::ranges::find(kinds, kind) - kinds.begin());
}

KeyState::KeyState(const View& view)
    : slot_bytes_(static_cast<uint32_t>(kValuesAt + 8 * view.arguments().size())) {
  for (size_t i = 0; i < view.arguments().size(); ++i) {
    if (!is_text(view.arguments()[i])) continue;
    if (!texts_) texts_ = std::make_unique<Texts>();
    texts_->slots.push_back(static_cast<uint32_t>(i));
  }
}
KeyState::KeyState(KeyState&&) noexcept = default;
KeyState& KeyState::operator=(KeyState&&) noexcept = default;
KeyState::~KeyState() = default;

const Reading::Texts* KeyState::texts() const { return texts_ ? &texts_->by_id : nullptr; }

// How many events come before (event_time, seq).
size_t KeyState::lower_bound(int64_t event_time, uint64_t seq) const {
  const auto newest = [&] { return std::pair(time_at(size_ - 1), seq_at(size_ - 1)); };
  if (size_ == 0 || newest() < std::pair(event_time, seq)) return size_;
  size_t low = 0;
  size_t high = size_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const int64_t time = time_at(middle);
    if (time < event_time || (time == event_time && seq_at(middle) < seq))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

bool KeyState::holds(int64_t event_time, uint64_t seq) const {
  const size_t there = lower_bound(event_time, seq);
  return there < size_ && time_at(there) == event_time && seq_at(there) == seq;
}

// The same without a seq, for whoever knows about where it is.
size_t KeyState::lower_bound_near(size_t guess, int64_t event_time) const {
  const auto before = [&](size_t index) { return time_at(index) < event_time; };
  size_t low = std::min<size_t>(guess, size_);  // all before it are before
  size_t high = low;                            // it and all after it are not
  if (low < size_ && before(low)) {
    for (size_t step = 1; high < size_ && before(high); step *= 2) {
      low = high + 1;
      high = std::min<size_t>(high + step, size_);
    }
  } else {
    for (size_t step = 1; low > 0 && !before(low - 1); step *= 2) {
      high = low - 1;
      low -= std::min(low, step);
    }
  }
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (before(middle))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void KeyState::resize(uint32_t capacity) {
  std::string ring(size_t{capacity} * slot_bytes_, '\0');
  for (size_t i = 0; i < size_; ++i)
    std::memcpy(ring.data() + i * slot_bytes_, slot(i), slot_bytes_);
  ring_ = std::move(ring);
  capacity_ = capacity;
  head_ = 0;
  working_.reset();
}

// Everything moves when the ring's size changes, so only where the new one will do for a while.
void KeyState::make_room() {
  if (size_ == capacity_) return resize(capacity_ == 0 ? kFirstCapacity : capacity_ * 2);
  if (capacity_ <= kFirstCapacity || size_ >= capacity_ / 8) return;
  resize(std::max(kFirstCapacity, std::bit_ceil(size_ * 2)));
  if (texts_) renumber_texts();
}

// Leaves out texts that no row has any more.
void KeyState::renumber_texts() {
  Texts fresh;
  fresh.slots = texts_->slots;
  for (size_t i = 0; i < size_; ++i)
    for (const uint32_t index : fresh.slots)
      if (((nulls_at(i) >> index) & 1) == 0)
        save(slot(i) + kValuesAt + 8 * index, fresh.take(texts_->at(word_at(i, index))));
  *texts_ = std::move(fresh);
}

void KeyState::drop_oldest() {
  if (working_) working_->dropping(*this);
  if (texts_) {
    const uint64_t nulls = nulls_at(0);
    for (const uint32_t index : texts_->slots)
      if (((nulls >> index) & 1) == 0) texts_->release(word_at(0, index));
  }
  newest_pruned_ = std::max(newest_pruned_, time_at(0));
  head_ = (head_ + 1) & (capacity_ - 1);
  --size_;
}

EventTime KeyState::newest() const {
  int64_t newest = size_ == 0 ? newest_pruned_ : time_at(size_ - 1);
  if (!refused_.empty()) newest = std::max(newest, refused_.back().last.first);
  return EventTime{newest};
}

// The kWitnesses-th newest time that is known, that of the event at hand included; the least time
// while there are fewer. Of refused events only some are known, so that it may lag a little.
int64_t KeyState::latest_with(int64_t time) const {
  std::array<int64_t, kWitnesses> newest;  // falling
  newest.fill(std::numeric_limits<int64_t>::min());
  const auto meet = [&](int64_t known) {
    for (int64_t& one : newest)
      if (known > one) std::swap(known, one);
  };
  meet(time);
  for (size_t i = 0; i < std::min<size_t>(kWitnesses, size_); ++i) meet(time_at(size_ - 1 - i));
  for (const Refused& span : refused_) {
    meet(span.first.first);
    if (span.last != span.first) meet(span.last.first);
  }
  return newest.back();
}

void KeyState::prune(int64_t horizon) {
  while (size_ > 0 && time_at(0) < horizon) drop_oldest();
  if (working_ && size_ < Working::kRowsUntil) working_.reset();
}

void KeyState::refuse(int64_t time, uint64_t seq) {
  ++rejected_;
  note_refused({{time, seq}, {time, seq}});
}

void KeyState::note_refused(Refused span) {
  auto at =
      std::ranges::find_if(refused_, [&](const Refused& one) { return span.first <= one.last; });
  while (at != refused_.end() && at->first <= span.last) {
    span = {std::min(span.first, at->first), std::max(span.last, at->last)};
    at = refused_.erase(at);
  }
  refused_.insert(at, span);
  if (refused_.size() <= kRefusedMost) return;
  const auto gap = [this](size_t i) {
    return static_cast<uint64_t>(refused_[i + 1].first.first) -
           static_cast<uint64_t>(refused_[i].last.first);
  };
  size_t least = 0;
  for (size_t i = 1; i + 1 < refused_.size(); ++i)
    if (gap(i) < gap(least)) least = i;
  refused_[least].last = refused_[least + 1].last;
  refused_.erase(refused_.begin() + static_cast<std::ptrdiff_t>(least) + 1);
}

void KeyState::store(const View& view, char* at, const schema::EventFacts& facts,
                     const std::vector<Cell>& values) {
  save(at + kTimeAt, facts.event_time.value());
  save(at + kSeqAt, facts.seq.value());
  uint64_t nulls = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t word = 0;
    if (values[i].null)
      nulls |= uint64_t{1} << i;
    else
      word = is_text(view.arguments()[i]) ? texts_->take(values[i].text) : values[i].i;
    save(at + kValuesAt + 8 * i, word);
  }
  save(at + kNullsAt, nulls);
}

Applied KeyState::apply(ViewWorker& worker, const schema::Batch& rows, size_t row,
                        const schema::EventFacts& facts) {
  const View& view = *worker.view_;
  if (!facts.counts()) return Applied::kIgnored;
  const int64_t time = facts.event_time.value();
  if (holds(time, facts.seq.value())) return Applied::kRepeated;
  // No read within lateness can reach further back.
  const int64_t horizon = before(latest_with(time), view.keep_us());
  if (time < horizon) {
    newest_pruned_ = std::max(newest_pruned_, time);
    return Applied::kIgnored;
  }
  prune(horizon);
  forget_refused(horizon);
  // Then goes what only late events, or those behind a stranger far ahead, could still ask for:
  // their windows say that it is missing.
  if (size_ >= view.definition().max_rows)
    prune(before(std::max(time, newest().value()), view.keep_us() - view.allowed_lateness_us()));
  if (size_ >= view.definition().max_rows) {
    refuse(time, facts.seq.value());
    return Applied::kRejected;
  }
  insert(worker, rows, row, facts);
  return Applied::kInserted;
}

void KeyState::follow(ViewWorker& worker, const schema::Batch& rows, size_t row,
                      const schema::EventFacts& facts, Applied applied, EventTime own_missing) {
  const int64_t time = facts.event_time.value();
  newest_pruned_ = std::max(newest_pruned_, own_missing.value());
  if (applied == Applied::kRejected) return refuse(time, facts.seq.value());
  if (applied != Applied::kInserted || holds(time, facts.seq.value())) return;
  const int64_t horizon = before(latest_with(time), worker.view_->keep_us());
  newest_pruned_ = std::max(newest_pruned_, time < horizon ? time : newest_pruned_);
  if (time < horizon) return;
  prune(horizon);
  forget_refused(horizon);
  insert(worker, rows, row, facts);
}

// Late reads may still reach what was refused there: they are told as of what was pruned.
void KeyState::forget_refused(int64_t horizon) {
  std::erase_if(refused_, [&](const Refused& span) {
    if (span.last.first >= horizon) return false;
    newest_pruned_ = std::max(newest_pruned_, span.last.first);
    return true;
  });
}

void KeyState::insert(ViewWorker& worker, const schema::Batch& rows, size_t row,
                      const schema::EventFacts& facts) {
  const int64_t time = facts.event_time.value();
  worker.values_.clear();
  for (Evaluator& evaluator : worker.evaluators_)
    worker.values_.push_back(evaluator.evaluate(rows, row));
  make_room();
  const size_t place = lower_bound(time, facts.seq.value());
  ++size_;
  for (size_t i = size_ - 1; i > place; --i) std::memcpy(slot(i), slot(i - 1), slot_bytes_);
  store(*worker.view_, slot(place), facts, worker.values_);
  if (working_) working_->inserted(*this, worker, place);
  max_seq_ = std::max(max_seq_, facts.seq.value());
}

size_t KeyState::bytes() const {
  return sizeof(KeyState) + ring_.capacity() + refused_.capacity() * sizeof(Refused) +
         (texts_ ? sizeof(Texts) + texts_->bytes : 0) + (working_ ? working_->bytes() : 0);
}

}  // namespace qw::features
