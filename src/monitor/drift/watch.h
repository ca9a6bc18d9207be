// Watches the scores of one model version for drift. Pure: scores with their event times in, looks
// out; it reads no clock, so a replay gives the same looks.
//
// Time is cut into spans of `every`, on multiples of it. The reference is given, or made of the
// first spans after most decisions came from warm series; then it never changes. At the end of each
// later span its scores are compared with the reference by the Kolmogorov-Smirnov test.
//
// Why looking again and again is sound: look k may err with probability alpha / (k (k+1)), which
// adds up to alpha over every look there will ever be (alpha spending), however the looks depend on
// each other. Why scores that resemble their neighbours are: both samples count as the number of
// independent scores they are worth (ScoreProfile::effective); a span is worth its share of it. So
// a false alarm happens with probability at most alpha in the whole life of a reference, as long as
// scores an eighth of `every` apart are as good as independent. A difference smaller than
// `distance_min` is no drift however certain it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/profile.h"

namespace qw::monitor {

// How drift is judged. A value.
struct DriftPolicy {
  int64_t every_us = 600'000'000;
  double distance_min = 0.1;
  double alpha = 0.01;           // of one false alarm in the life of a reference
  uint32_t reference_spans = 4;  // that a reference of its own is made of
  uint64_t scores_min = 30;      // a span with fewer is not judged
  uint32_t steady_looks = 2;     // in a row without drift: steady again
};
// kBadInput naming the setting.
Result<void> check(const DriftPolicy& policy);

// kLearning: there is no reference yet.
enum class DriftState : uint8_t { kLearning = 0, kSteady, kDrifting };
std::string_view name_of(DriftState state);  // "learning", "steady", "drifting"

// One comparison, at the end of a span. A value.
struct DriftLook {
  uint64_t number = 0;   // from 1
  int64_t at_us = 0;     // event time: the end of the span
  uint64_t scores = 0;   // in the span
  double effective = 0;  // of them
  double distance = 0;   // at least this far apart
  double threshold = 0;  // from which it would be drift; above 1 where so few scores show nothing
  double p_value = 1;
  DriftState state = DriftState::kSteady;
  bool changed = false;  // the state is another than before
};

// Owned by whoever makes decisions; one thread at a time.
class DriftWatch {
 public:
  // Without a reference it makes one of its own. The policy is checked: check(policy).ok().
  explicit DriftWatch(DriftPolicy policy,
                      std::optional<schema::ScoreProfile> reference = std::nullopt);

  // Scores of series that are still warming up are not compared. A score older than the present
  // span counts in the present one. Returns the look that this score's time brought due.
  std::optional<DriftLook> add(int64_t event_time_us, bool warm, double score);

  DriftState state() const { return state_; }
  const std::optional<DriftLook>& last_look() const { return last_; }
  const std::optional<schema::ScoreProfile>& reference() const { return reference_; }
  const schema::ScoreSketch& present() const { return present_; }

  void save(std::string& out) const;
  // kCorrupt; kUnsupported when a newer version wrote it; kConflict when it was kept under another
  // `every`. The watch is then unchanged.
  Result<void> restore(std::string_view bytes);

 private:
  std::optional<DriftLook> end_span();
  DriftLook look();

  DriftPolicy policy_;
  DriftState state_ = DriftState::kLearning;
  std::optional<schema::ScoreProfile> reference_;
  std::optional<schema::SlicedScores> learning_;  // the reference in the making
  uint32_t learned_spans_ = 0;
  bool started_ = false;
  int64_t span_ = 0;  // number of the present span
  schema::ScoreSketch present_;
  uint64_t warm_ = 0;  // decisions of the present span
  uint64_t cold_ = 0;
  uint64_t looks_ = 0;
  uint32_t quiet_ = 0;  // looks in a row without drift
  std::optional<DriftLook> last_;
};

}  // namespace qw::monitor
