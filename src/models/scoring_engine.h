// What a model that scores rows and learns nothing looks like to the rest of the system.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "base/result.h"
#include "models/engine.h"
#include "schema/type.h"

namespace qw::models {

// One input over the rows of a call: `numbers` for every type but string, `texts` for strings; the
// other is null. A number is finite, or NaN where it is missing: bools are 0 and 1, timestamps
// microseconds, decimals their value (1.50 is 1.5), int64 beyond 2^53 the nearest double. A text is
// missing where its data() is null.
struct InputColumn {
  const double* numbers = nullptr;
  const std::string_view* texts = nullptr;
};

// The rows of one call, column by column, in the order of the engine's inputs. Views into the
// caller's memory, for the length of the call. InputBlock (column_mapping.h) makes them.
struct InputRows {
  std::span<const InputColumn> columns;
  size_t count = 0;
};

// A model that scores rows, each by itself: equal rows have bit-equal scores, whatever stands
// beside them and however many there are.
// Owner: whoever made it. It owns, or shares, all it was made from: the package may be dropped.
// Immutable after construction.
// Threads: any number may score at once.
// Speed: no allocation, lock or look-up by name; working memory is on the stack, so that many rows
// are taken in blocks. (Third-party engines allocate in arenas of their own.)
// Errors: a call of the wrong shape is a broken invariant and stops the process. Otherwise only
// engines of third parties fail, with kInternal or kExhausted; the scores are then undefined. What
// a missing value means is the engine's to say; where it cannot score a row its outputs are NaN.
class ScoringEngine {
 public:
  virtual ~ScoringEngine() = default;
  virtual std::string_view kind() const = 0;
  // By name and type, as the package declares them.
  const schema::Schema& inputs() const { return inputs_; }
  const schema::Schema& outputs() const { return outputs_; }

  // Output o of row r is written to scores[o * rows.count + r], as a double whatever its type.
  // `scores` has outputs().size() * rows.count places; no rows are allowed.
  Result<void> score(const InputRows& rows, std::span<double> scores) const {
    QW_ASSERT(rows.columns.size() == inputs_.size());
    QW_ASSERT(scores.size() == outputs_.size() * rows.count);
    return score_rows(rows, scores);
  }

 protected:
  ScoringEngine(schema::Schema inputs, schema::Schema outputs)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
  ScoringEngine(const ScoringEngine&) = delete;
  ScoringEngine& operator=(const ScoringEngine&) = delete;

 private:
  virtual Result<void> score_rows(const InputRows& rows, std::span<double> scores) const = 0;

  const schema::Schema inputs_, outputs_;
};

// What a package's kind makes: a model that learns per series, or one that scores rows.
using Engine =
    std::variant<std::shared_ptr<const LearningEngine>, std::shared_ptr<const ScoringEngine>>;

}  // namespace qw::models
