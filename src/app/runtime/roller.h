// Moves what the logs hold into segments, and removes what is older or more than retention keeps.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "app/runtime/clock_trust.h"
#include "app/runtime/pipeline.h"
#include "app/runtime/plan.h"
#include "app/runtime/rolled_logs.h"
#include "base/env.h"
#include "base/metrics.h"
#include "store/commit/lane.h"
#include "store/segments/parquet.h"
#include "store/segments/segment.h"
#include "store/store.h"

namespace qw::app {

// Owns a thread that looks at every log now and then. A log's partition is rolled when its records
// in the database are more than a segment, or the oldest waits for long; never records that a start
// might replay into a state. One segment at a time; the lane is held only to put the
// finished file into the manifest. A failure (disk full) is said once, loses nothing and is tried
// again. Nothing is removed for its age by a clock that is not believed (see ClockTrust): what was
// written under one is as old as the moment at which the clock was believed again. Calls from any
// thread; stop() before the committer stops.
class Roller {
 public:
  // A value. What the application file does not say.
  struct Options {
    int64_t grace_us = 300'000'000;  // a removed file is still there for this long
    int64_t commit_limit_us = 60'000'000;
    store::SegmentSteps steps = store::real_segment_steps();
    bool accept_loss = false;  // give up segments that are damaged
  };
  Roller(std::shared_ptr<const Plan> plan, store::Store& store, store::Lane& lane,
         store::Checkpointer& checkpointer, Pipeline& pipeline, const Clock& clock,
         MetricRegistry& metrics, Options options);
  ~Roller();

  // Puts right what a crash left behind. Before start(). Says what was given up.
  Result<std::vector<store::Loss>> open();
  void start();
  void stop();
  // Rolls all that may be rolled, however little: what a start would not replay. `done` is called
  // once, on the roller's thread or, after stop(), at once: with why it failed, kUnavailable at a
  // stop, kExhausted when too many wait already. Any thread.
  using Done = std::function<void(const Result<void>& rolled)>;
  void roll_soon(Done done);
  // Writes what no segment has yet beside them, for one question, and tells its folder (below that
  // of segments) and the statements of the views over all; see write_tails. As roll_soon.
  struct Tails {
    std::string folder;
    std::string views;
  };
  using TailsDone = std::function<void(const Result<Tails>& written)>;
  void tails_soon(TailsDone done);
  // The same as roll_soon, and waits for it. kTimeout.
  Result<void> roll_now(int64_t limit_us);

 private:
  // Of one log's partition: what waits in the database, as far as it was counted.
  struct Waiting {
    Seq counted;
    uint64_t bytes = 0;
    uint64_t records = 0;
    int64_t since_us = 0;  // monotonic, when the oldest came; counts while records > 0
  };
  using LogPartition = std::pair<store::Log, PartitionId>;

  void run(const std::stop_token& stop);
  // One look at everything.
  Result<void> look(bool all, const std::stop_token& stop);
  Result<void> roll_log(const RolledLog& log, bool all, const std::stop_token& stop);
  Result<void> count(const RolledLog& log, Waiting& waiting);
  // False: nothing may be rolled yet.
  Result<bool> roll(const RolledLog& log, bool small_too, const std::stop_token& stop);
  // Records of one schema, from the oldest on.
  struct Gathered {
    store::SegmentRows rows;
    bool schema_ended = false;  // the next record is of another
  };
  Result<Gathered> gather(const RolledLog& log, Seq end) const;
  Result<bool> put_into_manifest(const store::Segment& segment, const std::stop_token& stop);
  void look_at_clock();
  void remember_clock();
  Result<void> retain(const std::stop_token& stop);
  void date(const std::vector<store::Segment>& segments);
  Result<void> drop(const std::vector<store::Segment>& gone, const std::stop_token& stop);
  Result<void> write_views() const;
  void unlink_dropped();
  Result<Tails> write_tails_now(const std::stop_token& stop);
  std::vector<TailsDone> take_tails_asked();
  void answer_tails(const std::stop_token& stop);
  void remove_old_tails();
  bool urgent() const;
  void note(const Result<void>& looked);
  static void answer(const std::vector<Done>& asked, const Result<void>& rolled);
  void measure();

  const std::shared_ptr<const Plan> plan_;
  store::Store& store_;
  store::Lane& lane_;
  store::Checkpointer& checkpointer_;
  Pipeline& pipeline_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  const Options options_;

  // The thread's own.
  std::map<LogPartition, Waiting> waiting_;
  std::deque<std::pair<int64_t, std::string>> dropped_;  // when its file may go (monotonic), file
  std::optional<ClockTrust> clock_trust_;                // from open() on
  bool clock_believed_ = true;                           // as was said last
  int64_t clock_saved_ns_ = 0;
  std::deque<std::pair<int64_t, std::string>> tails_;  // when the folder may go, folder
  uint64_t tails_made_ = 0;
  bool first_look_ = true;
  bool failing_ = false;

  mutable std::mutex mutex_;
  bool rolls_wanted_ = false;  // somebody waits for the look under way
  std::condition_variable_any wake_;
  std::vector<Done> asked_;  // who waits for all to be rolled
  std::vector<TailsDone> tails_asked_;
  bool ended_ = false;
  std::jthread thread_;
};

}  // namespace qw::app
