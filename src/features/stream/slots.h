// How a row lies in its slot of the ring: time, seq, null bits, one word for each argument.
#pragma once

#include <cstring>

#include "features/stream/key_state.h"

namespace qw::features {

inline constexpr size_t kTimeAt = 0;
inline constexpr size_t kSeqAt = 8;
inline constexpr size_t kNullsAt = 16;
inline constexpr size_t kValuesAt = 24;

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

inline int64_t KeyState::time_at(size_t index) const {
  return load<int64_t>(slot(index) + kTimeAt);
}
inline uint64_t KeyState::seq_at(size_t index) const {
  return load<uint64_t>(slot(index) + kSeqAt);
}
inline uint64_t KeyState::nulls_at(size_t index) const {
  return load<uint64_t>(slot(index) + kNullsAt);
}
inline int64_t KeyState::word_at(size_t index, size_t argument) const {
  return load<int64_t>(slot(index) + kValuesAt + 8 * argument);
}

}  // namespace qw::features
