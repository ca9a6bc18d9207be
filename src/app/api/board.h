// The newest rows of every series, for the page: what was decided lately, in bounded memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/runtime/observer.h"
#include "app/runtime/plan.h"

namespace qw::app {

// One row of a series: when, what was measured, what the detector said. A value.
struct BoardPoint {
  int64_t t_us = 0;
  double value = 0;  // NaN: not known
  double score = 0;  // NaN: the detector has no opinion yet
  uint64_t seq = 0;  // of the decision in its stream
};

// One row, or several that lie next to each other made into one. A value; NaN: not known.
struct BoardRow {
  int64_t first_us = 0, t_us = 0;  // of the first and the last row inside
  double mean = 0, min = 0, max = 0;
  double score = 0;     // the greatest
  uint64_t seq = 0;     // of the last
  uint32_t rows = 0;    // inside
  uint32_t values = 0;  // of them with a value

  static BoardRow of(const BoardPoint& point);
  // Takes in what comes right after.
  void add(const BoardRow& later);
};

// One series as it stands. A value.
struct BoardSeries {
  std::string id;  // "<decision>/<key>"
  size_t decision = 0;
  std::string key;
  PartitionId stream;    // whose log holds its decisions
  double threshold = 0;  // NaN: none
  double warm = 0;
  bool alerting = false;
  double score_max = 0;            // since the alert opened that is open now; NaN: none is
  uint32_t fresh = 0;              // rows since take_changed()
  std::vector<BoardPoint> points;  // oldest first
};

// Hears every decision and keeps the newest kMaxPoints rows of each series as they are and
// kMaxBlocks * kBlockRows before them in blocks that hide no peak. Any thread reads while the
// pipeline's thread writes; a read holds the lock for one series at a time. At most kMaxSeries
// series (about 190 MB when all are full); later ones are not kept and counted in refused().
class Board final : public Observer {
 public:
  static constexpr size_t kMaxSeries = 2000;
  static constexpr size_t kMaxPoints = 1200;
  static constexpr size_t kMaxBlocks = 800;
  static constexpr uint32_t kBlockRows = 12;

  explicit Board(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}

  void on_decision(const DecisionSeen& seen) override;
  void on_journal(Seq, const schema::JournalRecord&) override {}
  // A decision made before the present start, with the model's input as it is called now (NaN: it
  // has none of that name). Give the newest first; those that are here already, and what does not
  // fit, are left. False: this series is full.
  bool recall(size_t decision, PartitionId stream, Seq seq, const schema::DecisionRecord& record,
              double value);

  // Every series with its last `points` points, in the order of the ids.
  std::vector<BoardSeries> all(size_t points) const;
  // The series with rows since the last call, each with its newest point.
  std::vector<BoardSeries> take_changed();
  // One series with its last `points` points; nothing when it is not known.
  std::optional<BoardSeries> find(const std::string& id, size_t points) const;
  // The newest row at or before `at_us`.
  std::optional<BoardPoint> newest(const std::string& id, int64_t at_us) const;
  // What is kept of a series in [from, to], oldest first.
  struct Span {
    BoardSeries series;  // without points
    int64_t kept_from_us = 0;
    int64_t newest_us = 0;
    std::vector<BoardRow> rows;
  };
  std::optional<Span> span(const std::string& id, int64_t from_us, int64_t to_us) const;

  struct WarmUp {
    size_t series = 0, warm = 0;
    double fraction = 0;  // the mean
  };
  WarmUp warm_up() const;
  uint64_t refused() const { return refused_; }

 private:
  struct Kept {
    BoardSeries series;                // without points
    std::deque<BoardPoint> points;     // oldest first
    std::deque<BoardRow> blocks;       // what came before them
    uint64_t first_seen = UINT64_MAX;  // seq of the first since this start
  };
  Kept* find_or_make(size_t decision, const std::string& key, PartitionId stream);
  static void add(Kept& kept, const BoardPoint& point);
  // Takes in what came right before the blocks. False: they are full.
  static bool add_before(std::deque<BoardRow>& blocks, BoardRow row);
  static BoardSeries copy(const Kept& kept, size_t points);
  template <class Visit>
  void each(const Visit& visit) const;

  const std::shared_ptr<const Plan> plan_;
  mutable std::mutex mutex_;
  std::map<std::string, Kept> kept_;
  std::atomic<uint64_t> refused_{0};
};

}  // namespace qw::app
