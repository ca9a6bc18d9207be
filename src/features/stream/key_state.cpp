#include "features/stream/key_state.h"

#include <algorithm>
#include <cstring>

#include "features/stream/texts.h"

namespace qw::features {
namespace {

constexpr uint32_t kFirstCapacity = 8;
constexpr size_t kTimeAt = 0;
constexpr size_t kSeqAt = 8;
constexpr size_t kNullsAt = 16;
constexpr size_t kValuesAt = 24;

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <class T>
void save(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

bool is_text(const Expression& argument) { return argument.type().kind == schema::Kind::kString; }

}  // namespace

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

int64_t KeyState::time_at(size_t index) const { return load<int64_t>(slot(index) + kTimeAt); }
uint64_t KeyState::seq_at(size_t index) const { return load<uint64_t>(slot(index) + kSeqAt); }
uint64_t KeyState::nulls_at(size_t index) const { return load<uint64_t>(slot(index) + kNullsAt); }
int64_t KeyState::word_at(size_t index, size_t argument) const {
  return load<int64_t>(slot(index) + kValuesAt + 8 * argument);
}

// How many events come before (event_time, seq).
size_t KeyState::lower_bound(int64_t event_time, uint64_t seq) const {
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

void KeyState::grow() {
  const uint32_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
  std::string ring(size_t{capacity} * slot_bytes_, '\0');
  for (size_t i = 0; i < size_; ++i)
    std::memcpy(ring.data() + i * slot_bytes_, slot(i), slot_bytes_);
  ring_ = std::move(ring);
  capacity_ = capacity;
  head_ = 0;
}

void KeyState::drop_oldest() {
  if (texts_) {
    const uint64_t nulls = nulls_at(0);
    for (const uint32_t index : texts_->slots)
      if (((nulls >> index) & 1) == 0) texts_->release(word_at(0, index));
  }
  newest_pruned_ = std::max(newest_pruned_, time_at(0));
  head_ = (head_ + 1) & (capacity_ - 1);
  --size_;
}

// Forgets what no read within lateness can reach any more.
void KeyState::prune(const View& view) {
  const int64_t newest = time_at(size_ - 1);
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  const int64_t horizon = newest < kLowest + view.keep_us() ? kLowest : newest - view.keep_us();
  while (size_ > 1 && time_at(0) < horizon) drop_oldest();
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

Applied KeyState::apply(const View& view, const schema::Batch& rows, size_t row,
                        const schema::EventFacts& facts, ViewScratch& scratch) {
  if (!facts.counts()) return Applied::kIgnored;
  const int64_t time = facts.event_time.value();
  const size_t place = lower_bound(time, facts.seq.value());
  if (place < size_ && time_at(place) == time && seq_at(place) == facts.seq.value())
    return Applied::kRepeated;
  if (place == 0 && size_ > 0 && time_at(size_ - 1) - view.keep_us() > time)
    return Applied::kIgnored;
  if (size_ >= view.definition().max_rows) {
    ++rejected_;
    newest_rejected_ = std::max(newest_rejected_, time);
    return Applied::kRejected;
  }
  scratch.arguments.resize(view.arguments().size());
  scratch.values.clear();
  for (size_t i = 0; i < view.arguments().size(); ++i)
    scratch.values.push_back(view.arguments()[i].evaluate(rows, row, scratch.arguments[i]));
  if (size_ == capacity_) grow();
  ++size_;
  for (size_t i = size_ - 1; i > place; --i) std::memcpy(slot(i), slot(i - 1), slot_bytes_);
  store(view, slot(place), facts, scratch.values);
  max_seq_ = std::max(max_seq_, facts.seq.value());
  prune(view);
  return Applied::kInserted;
}

size_t KeyState::bytes() const {
  size_t bytes = sizeof(KeyState) + ring_.capacity();
  if (texts_)
    for (const auto& text : texts_->by_id) bytes += 64 + text->capacity();
  return bytes;
}

}  // namespace qw::features
