// The newest rows of every series, for the page: what was decided lately, in bounded memory.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/runtime/observer.h"
#include "app/runtime/plan.h"

namespace qw::app {

// The unit of a metric of the host source by the end of its name; empty when it says none.
std::string unit_of(std::string_view metric);

// One row of a series: when, what was measured, what the detector said. A value.
struct BoardPoint {
  int64_t t_us = 0;
  double value = 0;  // NaN: not known
  double score = 0;  // NaN: the detector has no opinion yet
};

// One series as it stands. A value.
struct BoardSeries {
  std::string id;  // "<decision>/<key>"
  size_t decision = 0;
  std::string key;
  double threshold = 0;  // NaN: none
  double warm = 0;
  bool alerting = false;
  std::vector<BoardPoint> points;  // oldest first
};

// Hears every decision and keeps the last points of each series. Any thread reads while the
// pipeline's thread writes; both hold a lock for as long as one copy takes. At most kMaxSeries
// series; later ones are not kept and counted in refused().
class Board final : public Observer {
 public:
  static constexpr size_t kMaxSeries = 2000;
  static constexpr size_t kMaxPoints = 1800;

  explicit Board(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}

  void on_decision(const DecisionSeen& seen) override;
  void on_journal(Seq, const schema::JournalRecord&) override {}

  // Every series with its last `points` points, in the order of the ids.
  std::vector<BoardSeries> all(size_t points) const;
  // One series with its points in [from, to]; nothing when it is not known.
  std::optional<BoardSeries> find(const std::string& id, int64_t from_us, int64_t to_us) const;
  uint64_t refused() const;

 private:
  struct Kept {
    BoardSeries series;  // `points` is a ring once it is full
    size_t oldest = 0;
  };
  static void add(Kept& kept, const BoardPoint& point);
  template <class Wanted>
  static BoardSeries copy(const Kept& kept, size_t skip, const Wanted& wanted);

  const std::shared_ptr<const Plan> plan_;
  mutable std::mutex mutex_;
  std::map<std::string, Kept> kept_;
  uint64_t refused_ = 0;
};

}  // namespace qw::app
