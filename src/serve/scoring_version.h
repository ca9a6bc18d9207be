// A model that scores rows and learns nothing, served: its inputs are found by name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/column_mapping.h"
#include "models/scoring_engine.h"
#include "serve/served_version.h"
#include "store/store.h"

namespace qw::serve {

// One loaded version. Keeps nothing but room for one row. Its score is the output called "score",
// or the only one there is. An engine that fails, as those of third parties may, answers with a
// score that is not a number, not warm; that is said once.
class ScoringVersion final : public ServedVersion {
 public:
  // kBadInput: an input is not offered or of another type, or no output is the score.
  static Result<std::unique_ptr<ScoringVersion>> make(
      const ServingOptions& options, int64_t version,
      std::shared_ptr<const models::ScoringEngine> engine);

  Result<std::optional<models::Score>> answer(PartitionId stream,
                                              const schema::DecisionRecord& record,
                                              int64_t now_us) override;

  // Scores the newest `most` stored decisions of a stream up to `last` that have its inputs: what
  // it is made of is in memory then, and a failure is known before it serves. Returns how many.
  Result<size_t> try_on(const store::Store& store, PartitionId stream, Seq last, size_t most);

 private:
  ScoringVersion(const ServingOptions& options, int64_t version,
                 std::shared_ptr<const models::ScoringEngine> engine, models::ColumnMapping mapping,
                 size_t score_at);
  Result<double> score(const std::vector<schema::Value>& inputs);

  const schema::Schema offered_;
  const std::shared_ptr<const models::ScoringEngine> engine_;
  const models::ColumnMapping mapping_;
  const size_t score_at_;  // of the engine's outputs
  models::InputBlock row_;
  std::vector<double> scores_;
  bool failing_ = false;
};

}  // namespace qw::serve
