#include "train/replay.h"

namespace qw::train {

Replayed replay(std::span<const models::Observation> rows, const models::LearningEngine& engine) {
  // 64-bit words keep the alignment that the engine asks for.
  std::vector<uint64_t> words((engine.state_bytes() + 7) / 8);
  const std::span<std::byte> state(reinterpret_cast<std::byte*>(words.data()),
                                   engine.state_bytes());
  engine.init(state);
  Replayed replayed;
  replayed.scores.reserve(rows.size());
  replayed.warm.reserve(rows.size());
  for (const models::Observation& row : rows) {
    const models::Score score = engine.update_and_score(row, state);
    replayed.scores.push_back(score.score);
    replayed.warm.push_back(score.warm);
  }
  return replayed;
}

}  // namespace qw::train
